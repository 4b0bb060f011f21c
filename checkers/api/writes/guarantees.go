package writes

// The guarantees that this package judges.
const (
	ConflictHonest     = "ConflictHonest"
	ExistsHonest       = "ExistsHonest"
	NotFoundHonest     = "NotFoundHonest"
	PreconditionHonest = "PreconditionHonest"
	NoLostUpdate       = "NoLostUpdate"
	IdentityStable     = "IdentityStable"
	UIDUnique          = "UIDUnique"
	RVMonotonic        = "RVMonotonic"
	DryRunInert        = "DryRunInert"
	ErrorHonest        = "ErrorHonest"
)

const (
	conventions = "https://github.com/kubernetes/community/blob/main/contributors/devel/sig-architecture/api-conventions.md"
	concepts    = "https://kubernetes.io/docs/reference/using-api/api-concepts/"
	metaURL     = "https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/"
	deleteURL   = "https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/delete-options/"
	uidURL      = "https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#uids"
)

// Guarantees returns all of them in the order of their verdicts.
func Guarantees() []string {
	var names []string
	for _, g := range guarantees {
		names = append(names, g.name)
	}
	return names
}

// guarantee is a name with what it promises. The quoted words are those of the
// documentation.
type guarantee struct{ name, statement string }

var guarantees = []guarantee{
	{ConflictHonest, `"Kubernetes leverages the concept of resource versions to achieve optimistic concurrency": a write that names a version ` +
		`or a uid is refused with Conflict only if the object had another one while the call ran, and succeeds only on that very one. ` +
		conventions + "#concurrency-control-and-consistency"},
	{ExistsHonest, `a create is refused with AlreadyExists only if an object of that name was there while the call ran. ` +
		conventions + "#http-status-codes"},
	{NotFoundHonest, `"404 StatusNotFound: indicates that the requested resource does not exist": a write is refused with NotFound ` +
		`only if the object, or the namespace that the answer names, was absent while the call ran. ` + conventions + "#http-status-codes"},
	{PreconditionHonest, `"Must be fulfilled before a deletion is carried out. If not possible, a 409 Conflict status will be returned": ` +
		`a deletion with preconditions removes only what fulfils them, and is refused only if something did not. ` + deleteURL},
	{NoLostUpdate, `each revision of an object differs in its marks from the one before by what exactly one write declared, and what an ` +
		`acknowledged write declared is there at its revision; an object with marks is removed only where a call asks for that, and what an ` +
		`acknowledged deletion is about is gone, or waits for a finalizer or its grace. ` + conventions + "#concurrency-control-and-consistency"},
	{IdentityStable, `uid and creationTimestamp of an object never change, its deletionTimestamp, "once set, ... may not be unset", ` +
		`its generation never falls, and answers to writes show its uid. ` + metaURL},
	{UIDUnique, `"Every object created over the whole lifetime of a Kubernetes cluster has a distinct UID." ` + uidURL},
	{RVMonotonic, `the versions of a key grow across its lives: a write that is called after another one was answered is answered ` +
		`with a version that is not lower, and higher if it wrote. ` + concepts + "#resource-versions"},
	{DryRunInert, `"Kubernetes guarantees that dry-run requests will not be persisted in storage or have any other side effects." ` +
		concepts + "#dry-run"},
	{ErrorHonest, `each error has the status code and the reason that are documented for it, a request that no server may ` +
		`carry out is refused with the error documented for that, and a legal one only for what it is about: 422 "indicates that the ` +
		`requested create or update operation cannot be completed due to invalid data provided as part of the request". An answer ` +
		`of success holds what was asked for: 200 "indicates that the request completed successfully". ` +
		conventions + "#http-status-codes"},
}

// Floors are the least amounts of evidence below which a guarantee is Invalid
// rather than Pass. A zero field means its default, a negative one none.
type Floors struct {
	Writes        int64 // answered writes, for every guarantee but IdentityStable, UIDUnique and ErrorHonest; default 1,000
	Versions      int64 // versions of objects, for IdentityStable and UIDUnique; default 1,000
	Conflicts     int64 // judged refusals because of a version or uid, for ConflictHonest; default 50
	Exists        int64 // judged AlreadyExists; default 10
	NotFound      int64 // judged NotFound of writes; default 10
	Preconditions int64 // judged deletions with preconditions, refused or not; default 10
	Marked        int64 // revisions that changed marks, for NoLostUpdate; default 100
	Repeated      int64 // writes of a key that another answered write went before, for RVMonotonic; default 100
	DryRuns       int64 // dry runs that succeeded and whose effect would be seen; default 10
	Errors        int64 // judged errors, for ErrorHonest; default 50
	Illegal       int64 // judged calls that no server may carry out, for ErrorHonest; default 10
}

func (f Floors) withDefaults() Floors {
	for _, d := range []struct {
		field *int64
		value int64
	}{
		{&f.Writes, 1000}, {&f.Versions, 1000}, {&f.Conflicts, 50}, {&f.Exists, 10}, {&f.NotFound, 10},
		{&f.Preconditions, 10}, {&f.Marked, 100}, {&f.Repeated, 100}, {&f.DryRuns, 10}, {&f.Errors, 50}, {&f.Illegal, 10},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
		*d.field = max(*d.field, 0)
	}
	return f
}
