package storage

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
)

// diskUsage sums the blocks that the files below dir take. It counts blocks
// and not lengths because etcd preallocates its log. Files that vanish while
// it walks count as nothing: a store purges old logs when it likes.
func diskUsage(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ignoreAbsent(err)
		}
		info, err := entry.Info()
		if err != nil {
			return ignoreAbsent(err)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			total += st.Blocks * 512 // st_blocks is in units of 512 bytes, see stat(2)
		}
		return nil
	})
	return total, err
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
