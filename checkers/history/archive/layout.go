package archive

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// A layout says where in a record of type T the values of each Parquet column
// belong. It exists because the library's own reader rebuilds records value by
// value through reflection, which costs some 5 µs for a record of 65 columns,
// most of them empty; see records.go for what is done instead.
//
// It is that of one schema version: of an older one it leaves out the columns
// that came later.
type layout struct {
	schema  *parquet.Schema // of the newest version
	version int
	fields  []parquet.Field // those of schema that the version has
	lists   []list          // a list stands after the list that holds it
	leaves  []leaf          // by column of the version
}

// list is one field of slice type.
type list struct {
	parent int     // the list whose elements hold this one, -1: the record
	depth  int     // 1 for a list in the record, 2 for a list in such a list
	offset uintptr // of the slice in the parent's element
	slice  reflect.Type
	leader int // the first column below: its levels give the lengths
}

// leaf is one column.
type leaf struct {
	path   string
	list   int // the list that holds it, -1: the record
	offset uintptr
	kind   reflect.Kind
}

func layoutOf[T any](version int) (l *layout, err error) {
	defer recovered(&err) // SchemaOf panics on types and tags that it cannot map
	typ := reflect.TypeFor[T]()
	if typ.Kind() != reflect.Struct {
		return nil, fmt.Errorf("records of type %v: not a struct", typ)
	}
	l = &layout{schema: parquet.SchemaOf(reflect.New(typ).Interface()), version: version}
	known := map[string]bool{}
	for _, f := range l.schema.Fields() {
		first, err := since(typ, f.Name())
		if err != nil {
			return nil, fmt.Errorf("records of type %v: column %s: %w", typ, f.Name(), err)
		}
		if known[f.Name()] = first <= version; known[f.Name()] {
			l.fields = append(l.fields, f)
		}
	}
	for _, path := range l.schema.Columns() {
		if !known[path[0]] {
			continue
		}
		lf, err := l.place(typ, path, len(l.leaves))
		if err != nil {
			return nil, fmt.Errorf("records of type %v: column %s: %w", typ, strings.Join(path, "."), err)
		}
		l.leaves = append(l.leaves, lf)
	}
	return l, nil
}

// since is the schema version that brought a field of a record; 0: it was there
// in the oldest one that is read.
func since(typ reflect.Type, name string) (int, error) {
	field, _, err := fieldNamed(typ, name)
	if err != nil || field.Tag.Get("since") == "" {
		return 0, err
	}
	return strconv.Atoi(field.Tag.Get("since"))
}

// equal says whether a segment has the columns of the version, and no others.
func (l *layout) equal(file *parquet.Schema) bool {
	return slices.EqualFunc(l.fields, file.Fields(), func(ours, theirs parquet.Field) bool {
		return ours.Name() == theirs.Name() && parquet.EqualNodes(ours, theirs)
	})
}

// inLists returns the columns that stand in a list.
func (l *layout) inLists() (paths [][]string) {
	for column, path := range l.schema.Columns() {
		if l.leaves[column].list >= 0 {
			paths = append(paths, path)
		}
	}
	return paths
}

// place follows the path of a column through the fields of typ.
func (l *layout) place(typ reflect.Type, path []string, column int) (leaf, error) {
	lf := leaf{path: strings.Join(path, "."), list: -1}
	for i := 0; i < len(path); i++ {
		if typ.Kind() != reflect.Struct {
			return lf, fmt.Errorf("%v is not a struct", typ)
		}
		field, tagged, err := fieldNamed(typ, path[i])
		if err != nil {
			return lf, err
		}
		lf.offset += field.Offset
		typ = field.Type
		if typ.Kind() == reflect.Slice {
			lf.list = l.listAt(lf.list, lf.offset, typ, column)
			lf.offset = 0
			typ = typ.Elem()
			if tagged {
				i += 2 // the Parquet groups "list" and "element"
			}
		}
	}
	lf.kind = typ.Kind()
	return lf, l.check(lf, path)
}

func (l *layout) listAt(parent int, offset uintptr, slice reflect.Type, column int) int {
	depth := 1
	if parent >= 0 {
		depth = l.lists[parent].depth + 1
	}
	for i, known := range l.lists {
		if known.parent == parent && known.offset == offset {
			return i
		}
	}
	l.lists = append(l.lists, list{parent: parent, depth: depth, offset: offset, slice: slice, leader: column})
	return len(l.lists) - 1
}

// fieldNamed finds the field of a column name, and whether it is tagged list.
func fieldNamed(typ reflect.Type, name string) (field reflect.StructField, tagged bool, err error) {
	for i := range typ.NumField() {
		field = typ.Field(i)
		own, rest, _ := strings.Cut(field.Tag.Get("parquet"), ",")
		if own == "" {
			own = field.Name
		}
		if own == name && field.IsExported() && !field.Anonymous {
			return field, strings.Contains(","+rest+",", ",list,"), nil
		}
	}
	return field, false, fmt.Errorf("%v has no field of that name", typ)
}

// check refuses what records.go does not rebuild.
func (l *layout) check(lf leaf, path []string) error {
	column, ok := l.schema.Lookup(path...)
	depth := 0
	if lf.list >= 0 {
		depth = l.lists[lf.list].depth
	}
	// An optional value would have a definition level of its own.
	if !ok || column.MaxRepetitionLevel != depth || column.MaxDefinitionLevel != depth {
		return fmt.Errorf("optional values are not supported")
	}
	want, ok := columnKinds[lf.kind]
	if !ok || column.Node.Type().Kind() != want {
		return fmt.Errorf("values of kind %v are not supported", lf.kind)
	}
	if isDict(column.Node.Encoding()) && lf.kind != reflect.String {
		return fmt.Errorf("a dictionary of values of kind %v is not supported", lf.kind)
	}
	return nil
}

var columnKinds = map[reflect.Kind]parquet.Kind{
	reflect.Bool: parquet.Boolean, reflect.String: parquet.ByteArray, reflect.Float64: parquet.Double,
	reflect.Int: parquet.Int64, reflect.Int64: parquet.Int64, reflect.Uint64: parquet.Int64,
	reflect.Int32: parquet.Int32, reflect.Uint32: parquet.Int32,
}

func isDict(enc encoding.Encoding) bool {
	return enc != nil && enc.Encoding() == parquet.RLEDictionary.Encoding()
}
