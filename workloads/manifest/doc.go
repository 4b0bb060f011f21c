// Package manifest applies a person's own objects, as often as asked, and
// waits until all of them are ready.
//
// Each copy lives in namespaces of its own. Objects without a namespace get a
// suffix to their name, and so do the references to them where it is certain
// what they mean: subjects and roles of bindings, the services of webhooks, and
// the well-known fields that name a class of something. What is hidden in
// plain text, such as a service's DNS name in a command line, is left alone.
package manifest
