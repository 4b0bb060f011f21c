package results

// What the packages below this one need to print as this one does.

// Table lays out rows of text in columns.
type Table struct{ table }

// NewTable returns a table without rows. align has a letter for each column, l
// for left and r for right; the last one counts for all columns that follow.
func NewTable(align string) *Table { return &Table{table{align: align}} }

// Row adds a row.
func (t *Table) Row(cells ...string) { t.row(cells...) }

// BytesText prints a size in MiB or GiB.
func BytesText(n int64) string { return bytesText(n) }

// Digits3 prints f ≥ 0 with three significant digits and no exponent.
func Digits3(f float64) string { return digits3(f) }
