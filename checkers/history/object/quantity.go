package object

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// amount is a quantity of a resource, exactly: k8s.io/apimachinery keeps
// nothing below 1e-9 either. It is never negative and stops at the largest
// int64.
type amount struct {
	whole int64
	nano  int64 // [0, 1e9)
}

const billion = 1_000_000_000

func (a amount) plus(b amount) amount {
	nano := a.nano + b.nano
	carry := nano / billion
	sum, over := bits.Add64(uint64(a.whole), uint64(b.whole)+uint64(carry), 0)
	if over != 0 || sum > math.MaxInt64 {
		return amount{whole: math.MaxInt64}
	}
	return amount{int64(sum), nano % billion}
}

func (a amount) max(b amount) amount {
	if a.whole > b.whole || a.whole == b.whole && a.nano > b.nano {
		return a
	}
	return b
}

// value returns the amount, rounded up as Quantity.Value does.
func (a amount) value() int64 {
	if a.nano > 0 && a.whole < math.MaxInt64 {
		return a.whole + 1
	}
	return a.whole
}

// millis returns thousandths, rounded up as Quantity.MilliValue does.
func (a amount) millis() int64 {
	if a.whole > math.MaxInt64/1000-1 {
		return math.MaxInt64
	}
	return a.whole*1000 + (a.nano+999_999)/1_000_000
}

// suffix is a unit: times 10^ten, times 2^two.
type suffix struct{ ten, two int }

var suffixes = map[string]suffix{
	"n": {ten: -9}, "u": {ten: -6}, "m": {ten: -3}, "": {},
	"k": {ten: 3}, "M": {ten: 6}, "G": {ten: 9}, "T": {ten: 12}, "P": {ten: 15}, "E": {ten: 18},
	"Ki": {two: 10}, "Mi": {two: 20}, "Gi": {two: 30}, "Ti": {two: 40}, "Pi": {two: 50}, "Ei": {two: 60},
}

// parseQuantity reads a quantity as the API writes it, such as 100m, 1Gi, 1e3
// or 0.5. https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
// Negative ones are an error: neither requests nor capacities may be.
func parseQuantity(s string) (amount, error) {
	rest := strings.TrimPrefix(s, "+")
	end := 0
	for end < len(rest) && (rest[end] >= '0' && rest[end] <= '9' || rest[end] == '.') {
		end++
	}
	digits, after, _ := strings.Cut(rest[:end], ".")
	if s == "" || strings.Contains(after, ".") {
		return amount{}, fmt.Errorf("quantity %q: no number", s)
	}
	if digits == "" {
		digits = "0" // apimachinery takes even "m" for a number
	}
	unit, known := suffixes[rest[end:]]
	if !known {
		exponent, err := parseExponent(rest[end:])
		if err != nil {
			return amount{}, fmt.Errorf("quantity %q: %w", s, err)
		}
		unit.ten = exponent
	}
	if a, ok := small(digits, after, unit); ok {
		return a, nil
	}
	return large(digits+after, unit.ten-len(after), unit.two)
}

func parseExponent(s string) (int, error) {
	if len(s) < 2 || s[0] != 'e' && s[0] != 'E' {
		return 0, fmt.Errorf("no suffix %q", s)
	}
	n, err := strconv.ParseInt(s[1:], 10, 32)
	return int(n), err
}

// small reads what nearly every quantity is: whole units, millis, or a power of
// two of them.
func small(digits, after string, unit suffix) (amount, bool) {
	if after != "" || len(digits) > 15 {
		return amount{}, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return amount{}, false
	}
	switch {
	case unit == suffix{ten: -3}:
		return amount{n / 1000, n % 1000 * 1_000_000}, true
	case unit.ten == 0 && n <= math.MaxInt64>>unit.two:
		return amount{whole: n << unit.two}, true
	}
	return amount{}, false
}

// large computes in big numbers: digits times 10^ten times 2^two, rounded up to
// a billionth.
func large(digits string, ten, two int) (amount, error) {
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return amount{}, fmt.Errorf("quantity of digits %q", digits)
	}
	if n.Sign() == 0 {
		return amount{}, nil
	}
	ten += 9 // in billionths from here
	switch {
	case ten > 40:
		return amount{whole: math.MaxInt64}, nil
	case ten < -len(digits)-40:
		return amount{nano: 1}, nil
	}
	n.Lsh(n, uint(two))
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(ten, -ten))), nil)
	if ten >= 0 {
		n.Mul(n, power)
	} else {
		n.Add(n, power).Sub(n, big.NewInt(1)).Quo(n, power)
	}
	whole, nano := new(big.Int).QuoRem(n, big.NewInt(billion), new(big.Int))
	if !whole.IsInt64() {
		return amount{whole: math.MaxInt64}, nil
	}
	return amount{whole.Int64(), nano.Int64()}, nil
}
