// Package rules holds no code, only the tests of the rules that the tree keeps:
// which package may import which, that every package says what it is for, and
// that the Kubernetes modules move together.
package rules
