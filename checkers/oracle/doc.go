// Package oracle compares the revision checker (package checkers/storage) with
// two judges that share no code with it: porcupine with a model of etcd that
// includes the header revision, and etcd's own robustness validation
// (go.etcd.io/etcd/tests/v3/robustness/validate) where its model reaches.
//
// It is all tests. This is the one place where etcd's test module is linked
// into a checker's tests, and nothing outside of tests may import it.
//
// The comparison is only worth something where the judges get the same facts.
// Porcupine gets every call and, as knowledge of what each revision changed, the
// events of the watches of the whole key space. Validation gets the calls that
// it can express; what it then does not see is settled by porcupine with a
// model that is as narrow as validation's, and must agree with it exactly.
package oracle
