package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"github.com/parquet-go/parquet-go"
)

// records rebuilds the records of a row group column by column. The lists of
// all records of the group that belong to one field lie behind each other in
// one array. As no value is optional, the k-th value of a column belongs to the
// k-th element of its array, so a column is one loop of stores at a fixed
// stride; only the lengths of the lists need Parquet's repetition and
// definition levels, from one column of each list.
//
// The stores go through unsafe pointers, which is what makes them one loop per
// kind of value and not reflection per value. Each is into an array made by
// reflect for its type, at an index that fill has checked, at the offset of a
// field whose kind layout.check has checked.
type records[T any] struct {
	*layout
	rows    []T
	arrays  []array // by list
	strings interner
}

// array holds the elements of a list, or the records themselves.
type array struct {
	elems  reflect.Value // keeps the memory and its type
	base   unsafe.Pointer
	stride uintptr
	len    int
}

// sliceHeader is a slice as the language lays it out, with the pointer as one
// so that stores of it are seen by the garbage collector.
type sliceHeader struct {
	data     unsafe.Pointer
	len, cap int
}

func newRecords[T any](version int) (*records[T], error) {
	l, err := layoutOf[T](version)
	if err != nil {
		return nil, err
	}
	return &records[T]{layout: l, arrays: make([]array, len(l.lists))}, nil
}

// open finds the row groups of a segment.
func (d *records[T]) open(data []byte, rows int64) (groups []parquet.RowGroup, err error) {
	defer recovered(&err)
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)),
		parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, err
	}
	if !d.equal(f.Schema()) {
		return nil, fmt.Errorf("its columns are not those of schema version %d", d.version)
	}
	groups = f.RowGroups()
	var sum int64
	for _, g := range groups {
		n := g.NumRows()
		if n < 0 || n > groupRows {
			return nil, fmt.Errorf("it has a row group of %d records", n)
		}
		sum += n
	}
	if sum != rows {
		return nil, fmt.Errorf("it has %d records, not %d", sum, rows)
	}
	return groups, nil
}

// load rebuilds the records of a row group. They are valid until the next call;
// their strings remain valid.
func (d *records[T]) load(group parquet.RowGroup) (rows []T, err error) {
	defer recovered(&err)
	n := int(group.NumRows())
	if cap(d.rows) < n {
		d.rows = make([]T, n)
	}
	d.rows = d.rows[:n]
	chunks := group.ColumnChunks()
	if len(chunks) != len(d.leaves) {
		return nil, fmt.Errorf("it has a row group of %d columns", len(chunks))
	}
	for column, chunk := range chunks {
		if err := d.loadColumn(column, chunk); err != nil {
			return nil, fmt.Errorf("column %s: %w", d.leaves[column].path, err)
		}
	}
	return d.rows, nil
}

func (d *records[T]) loadColumn(column int, chunk parquet.ColumnChunk) error {
	source := chunk.Pages()
	defer source.Close()
	pages, err := readPages(source)
	defer func() {
		for _, p := range pages {
			parquet.Release(p)
		}
	}()
	if err != nil {
		return err
	}
	for i := range d.lists {
		if d.lists[i].leader == column {
			if err := d.makeLists(i, pages); err != nil {
				return err
			}
		}
	}
	lf := &d.leaves[column]
	into := d.array(lf.list)
	from := 0
	for _, p := range pages {
		n, err := d.fill(lf, into, from, p)
		if err != nil {
			return err
		}
		from += n
	}
	if from != into.len {
		return fmt.Errorf("it has %d values, not %d", from, into.len)
	}
	return nil
}

func readPages(source parquet.Pages) (pages []parquet.Page, err error) {
	for {
		p, err := source.ReadPage()
		if errors.Is(err, io.EOF) {
			return pages, nil
		}
		if err != nil {
			return pages, err
		}
		pages = append(pages, p)
	}
}

// array returns that of a list, or of the records for -1.
func (d *records[T]) array(list int) array {
	if list >= 0 {
		return d.arrays[list]
	}
	return array{
		base:   unsafe.Pointer(unsafe.SliceData(d.rows)),
		stride: reflect.TypeFor[T]().Size(),
		len:    len(d.rows),
	}
}

// makeLists makes the elements of a list and sets the slices that hold them,
// from the levels of one column below it. An entry with a repetition level
// below the list's depth begins a new parent (if its definition level says that
// there is a parent at all), one with a definition level of at least the depth
// and a repetition level of at most it begins an element.
func (d *records[T]) makeLists(i int, pages []parquet.Page) error {
	l := &d.lists[i]
	parent := d.array(l.parent)
	depth := byte(l.depth)
	starts := make([]int, 0, parent.len+1)
	count := 0
	for _, p := range pages {
		rep, def := p.RepetitionLevels(), p.DefinitionLevels()
		if len(rep) != len(def) {
			return fmt.Errorf("it has %d repetition and %d definition levels", len(rep), len(def))
		}
		for k, r := range rep {
			if r < depth && def[k] >= depth-1 {
				starts = append(starts, count)
			}
			if r <= depth && def[k] >= depth {
				count++
			}
		}
	}
	if len(starts) != parent.len || len(starts) > 0 && starts[0] != 0 || len(starts) == 0 && count > 0 {
		return fmt.Errorf("it has lists of %d records, not of %d", len(starts), parent.len)
	}
	own := d.arrays[i].resized(l.slice, count)
	d.arrays[i] = own
	starts = append(starts, count)
	for k := range parent.len {
		header := (*sliceHeader)(unsafe.Add(parent.base, uintptr(k)*parent.stride+l.offset))
		*header = sliceHeader{}
		if n := starts[k+1] - starts[k]; n > 0 {
			*header = sliceHeader{unsafe.Add(own.base, uintptr(starts[k])*own.stride), n, n}
		}
	}
	return nil
}

// resized returns an array of n elements, of the same memory if that suffices:
// every field of an element is written, so nothing of the old shows through.
func (a array) resized(slice reflect.Type, n int) array {
	if !a.elems.IsValid() || a.elems.Len() < n {
		a.elems = reflect.MakeSlice(slice, n+n/4, n+n/4)
		a.base = a.elems.UnsafePointer()
		a.stride = slice.Elem().Size()
	}
	a.len = n
	return a
}

// fill stores the values of a page in the elements from the given one on and
// returns their number.
func (d *records[T]) fill(lf *leaf, into array, from int, p parquet.Page) (int, error) {
	n := int(p.NumValues() - p.NumNulls())
	if n < 0 || n > into.len-from {
		return 0, fmt.Errorf("it has more than %d values", into.len)
	}
	if n == 0 {
		return 0, nil
	}
	at := unsafe.Add(into.base, uintptr(from)*into.stride+lf.offset)
	data := p.Data()
	switch lf.kind {
	case reflect.String:
		return n, d.fillStrings(at, into.stride, n, p)
	case reflect.Bool:
		bits := data.Boolean()[:(n+7)/8]
		for i := range n {
			*(*bool)(at) = bits[i/8]>>(i%8)&1 != 0
			at = next(at, into.stride, i, n)
		}
	case reflect.Int32, reflect.Uint32:
		store(at, into.stride, data.Int32()[:n])
	case reflect.Float64:
		store(at, into.stride, data.Double()[:n])
	default: // the 64-bit integers, by layout.check
		store(at, into.stride, data.Int64()[:n])
	}
	return n, nil
}

func store[V any](at unsafe.Pointer, stride uintptr, values []V) {
	for i, v := range values {
		*(*V)(at) = v
		at = next(at, stride, i, len(values))
	}
}

// next steps to the field of the next element, and stays at the last one: a
// pointer past the end of an array is not a valid one.
func next(at unsafe.Pointer, stride uintptr, i, n int) unsafe.Pointer {
	if i == n-1 {
		return at
	}
	return unsafe.Add(at, stride)
}

func (d *records[T]) fillStrings(at unsafe.Pointer, stride uintptr, n int, p parquet.Page) error {
	if dict := p.Dictionary(); dict != nil {
		page, indexes := dict.Page().Data(), p.Data()
		data, offsets := page.ByteArray()
		words := make([]string, max(len(offsets), 1)-1)
		for i := range words {
			words[i] = d.strings.get(data[offsets[i]:offsets[i+1]])
		}
		for i, index := range indexes.Int32()[:n] {
			*(*string)(at) = words[index]
			at = next(at, stride, i, n)
		}
		return nil
	}
	values := p.Data()
	data, offsets := values.ByteArray()
	if len(offsets) < n+1 {
		return fmt.Errorf("it has %d strings in a page of %d", len(offsets)-1, n)
	}
	for i := range n {
		*(*string)(at) = d.strings.get(data[offsets[i]:offsets[i+1]])
		at = next(at, stride, i, n)
	}
	return nil
}

// interner makes strings of bytes, and the same string of the same bytes as
// long as no other string takes its place in a table of fixed size: the keys of
// a history repeat, and checkers keep them.
type interner struct {
	table []string
}

const (
	internSlots = 1 << 16
	internBytes = 256 // longer strings are not kept in the table
)

func (t *interner) get(b []byte) string {
	if len(b) == 0 || len(b) > internBytes {
		return string(b)
	}
	if t.table == nil {
		t.table = make([]string, internSlots)
	}
	slot := &t.table[xxhash.Sum64(b)%internSlots]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}
