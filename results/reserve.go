package results

import (
	"errors"
	"fmt"
	"os"
)

// reserveBytes is many times what the record of a small run takes, 0.3 MiB.
const reserveBytes = 8 << 20

// takeReserve takes space on the disk of the directory, until Release or the end of
// this process, however it ends: the file has no name any more. On a disk that is full
// by then the record of the run, with its verdict, still finds room.
func (d *Dir) takeReserve() error {
	f, err := os.CreateTemp(d.Path, "reserve-*.tmp")
	if err != nil {
		return fmt.Errorf("reserve space: %w", err)
	}
	err = os.Remove(f.Name())
	if err == nil {
		_, err = f.Write(make([]byte, reserveBytes))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("reserve space: %w", err), f.Close())
	}
	d.reserve = f
	return nil
}

// Release gives back the reserve, if anything.
func (d *Dir) Release() error {
	if d.reserve == nil {
		return nil
	}
	err := d.reserve.Close()
	d.reserve = nil
	return err
}
