package object

import (
	"math"
	"math/rand/v2"
	"testing"

	apiresource "k8s.io/apimachinery/pkg/api/resource"
)

var quantities = []string{
	"0", "1", "100m", "1Gi", "1e3", "1E3", "1E", "0.5", ".5", "5.", "1.5Gi", "0.1Ki", "3n", "1u", "1500u", "999999n", "12345678901234567890",
	"1.0000000001", "0.0000000001", "9223372036854775807", "8Ei", "7Ei", "1e-3", "1e-12", "1E-3", "+5", "007", "1k", "2M", "3G", "4T", "5P", "6E",
	"1Ki", "1Mi", "1Ti", "1Pi", "1e+3", "000", "123456789012345m", "0.0001Gi", "1.00", "99999999999999999", "1e", "", ".", "x", "1x", "1 Gi", "1..2", "--1", "1ee3", "1e1.5", "1ki", "1mi", "i", "m",
}

// agree compares with k8s.io/apimachinery. It wraps or caps what is larger than
// an int64, by format; here everything is capped, so that is left out. Very
// large exponents are left out too: it computes them.
func agree(t *testing.T, s string) {
	t.Helper()
	ours, err := parseQuantity(s)
	theirs, wrong := apiresource.ParseQuantity(s)
	if wrong == nil && theirs.Sign() < 0 {
		if err == nil {
			t.Errorf("%q: negative, but read as %+v", s, ours)
		}
		return
	}
	if (err != nil) != (wrong != nil) {
		t.Errorf("%q: %v, apimachinery says %v", s, err, wrong)
		return
	}
	if err != nil || theirs.Cmp(*apiresource.NewQuantity(math.MaxInt64/1000-1, apiresource.DecimalSI)) >= 0 {
		return
	}
	if ours.value() != theirs.Value() || ours.millis() != theirs.MilliValue() {
		t.Errorf("%q: %d and %d millis, apimachinery says %d and %d", s, ours.value(), ours.millis(), theirs.Value(), theirs.MilliValue())
	}
}

func TestQuantity(t *testing.T) {
	for _, s := range append(quantities, "-1", "-100m", "-1Gi") {
		agree(t, s)
	}
}

func TestRandomQuantities(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var b []byte
		for range 1 + rnd.IntN(8) {
			b = append(b, "0123456789."[rnd.IntN(11)])
		}
		units := []string{"", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "e-3", "E2", "Ti"}
		agree(t, string(b)+units[rnd.IntN(len(units))])
	}
}

func FuzzQuantity(f *testing.F) {
	for _, s := range quantities {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 30 {
			return
		}
		if a, err := parseQuantity(s); err == nil && (a.whole < 0 || a.nano < 0 || a.nano >= billion) {
			t.Errorf("%q: %+v", s, a)
		}
	})
}

func TestCaps(t *testing.T) {
	for s, want := range map[string]int64{"1e30": math.MaxInt64, "1e999": math.MaxInt64, "0e999": 0, "1e-999": 1, "9223372036854775808": math.MaxInt64} {
		if a, err := parseQuantity(s); err != nil || a.value() != want {
			t.Errorf("%q: %+v, %v", s, a, err)
		}
	}
	top := amount{whole: math.MaxInt64}
	if sum := top.plus(amount{whole: 1}); sum != top {
		t.Errorf("%+v", sum)
	}
	if top.millis() != math.MaxInt64 {
		t.Errorf("%d", top.millis())
	}
}
