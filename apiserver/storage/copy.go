package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// copyTree copies directories and regular files; dst must not be there.
//
// Holes stay holes. etcd allocates 64 MB for each file of its log before it
// writes them, and what is allocated and not written reads as a hole
// (lseek(2)), so a copy takes as long as there is data.
func copyTree(dst, src string) error {
	return filepath.WalkDir(src, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, rel)
		switch {
		case entry.IsDir():
			return os.Mkdir(to, 0o700)
		case entry.Type().IsRegular():
			return copyFile(to, path)
		default:
			return fmt.Errorf("%s is neither a file nor a directory", path)
		}
	})
}

func copyFile(dst, src string) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	for at := int64(0); at < info.Size(); {
		if at, err = copyExtent(out, in, at, info.Size()); err != nil {
			return fmt.Errorf("copy %s: %w", src, err)
		}
	}
	return out.Truncate(info.Size())
}

// copyExtent copies the next data at or after an offset and returns where it
// ends.
func copyExtent(out, in *os.File, at, size int64) (int64, error) {
	begin, err := in.Seek(at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, nil // only a hole is left
	}
	if err != nil {
		return 0, err
	}
	end, err := in.Seek(begin, unix.SEEK_HOLE)
	if err != nil {
		return 0, err
	}
	if _, err := out.Seek(begin, io.SeekStart); err != nil {
		return 0, err
	}
	if _, err := in.Seek(begin, io.SeekStart); err != nil {
		return 0, err
	}
	_, err = io.CopyN(out, in, end-begin)
	return end, err
}
