// Package rules holds no code, only the tests of the rules that the tree keeps:
// which package may import which and what its binary links, that every package says
// what it is for, and that all modules and the code agree on the versions that they
// are about.
package rules
