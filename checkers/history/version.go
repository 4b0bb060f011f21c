package history

// MarkPrefix begins the annotations that the contract workload writes: each of
// its clients has some of its own on every object, whatever the kind.
const MarkPrefix = "contract.planecheck/"

// Version is what one committed revision left of one key: the value, decoded
// once, down to the fields that verdicts need. The versions of a run are its
// version table. Selectors and the guarantees of the cluster are evaluated on
// it, never on what the simulation believes.
type Version struct {
	Revision int64  `parquet:"revision,delta"`
	Key      string `parquet:"key"` // e.g. /registry/pods/default/web-0
	// Delete: the key was removed; nothing below is set but Group and Resource.
	Delete bool `parquet:"delete"`

	Group    string `parquet:"group,dict"`    // API group that serves the resource, "" for core
	Resource string `parquet:"resource,dict"` // plural; Group and Resource are "" where the key is none of an object
	Kind     string `parquet:"kind,dict"`

	Namespace  string   `parquet:"namespace,dict"`
	Name       string   `parquet:"name"`
	UID        string   `parquet:"uid"`
	Created    int64    `parquet:"created"` // creationTimestamp, Unix seconds
	Generation int64    `parquet:"generation"`
	Deleting   bool     `parquet:"deleting"` // deletionTimestamp is set
	Grace      int64    `parquet:"grace"`    // deletionGracePeriodSeconds
	Finalizers []string `parquet:"finalizers,list"`
	Owners     []Owner  `parquet:"owners,list"`
	Labels     []Pair   `parquet:"labels,list"`
	// Marks are the annotations with MarkPrefix, without it.
	Marks []Pair `parquet:"marks,list"`
	// Fields are what selectors and invariants read of this kind, under the
	// names that field selectors use where they have one: spec.nodeName,
	// status.phase. Absent and empty values are left out.
	Fields []Pair `parquet:"fields,list"`
	// Content is the hash of the object without resourceVersion, managedFields
	// and selfLink.
	Content uint64 `parquet:"content"`
	// Unread says that the value could not be decoded: it is encrypted, say.
	Unread bool `parquet:"unread"`
}

// Owner is one owner reference.
type Owner struct {
	Kind       string `parquet:"kind,dict"`
	Name       string `parquet:"name"`
	UID        string `parquet:"uid"`
	Controller bool   `parquet:"controller"`
}

// Field returns the value of a field, "" if it has none.
func (v *Version) Field(name string) string { return valueOf(v.Fields, name) }

// Label returns the value of a label and whether it is there.
func (v *Version) Label(name string) (string, bool) {
	for _, p := range v.Labels {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

func valueOf(pairs []Pair, name string) string {
	for _, p := range pairs {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Controller returns the owner reference with controller: true, nil: none.
func (v *Version) Controller() *Owner {
	for i := range v.Owners {
		if v.Owners[i].Controller {
			return &v.Owners[i]
		}
	}
	return nil
}

// Clone returns a copy that shares nothing with v but strings.
func (v *Version) Clone() *Version {
	c := *v
	c.Finalizers, c.Owners = append([]string(nil), v.Finalizers...), append([]Owner(nil), v.Owners...)
	c.Labels, c.Marks = append([]Pair(nil), v.Labels...), append([]Pair(nil), v.Marks...)
	c.Fields = append([]Pair(nil), v.Fields...)
	return &c
}

// VersionSink takes the version table, in the order of revisions, with the
// rules of StoreSink.
type VersionSink interface {
	Version(*Version)
}
