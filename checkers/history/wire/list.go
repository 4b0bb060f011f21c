package wire

import "fmt"

// ListInfo is what we read of metav1.ListMeta.
type ListInfo struct {
	ResourceVersion string
	Continue        string // non-empty when the list goes on
}

// ScanList reads any list without its envelope and calls item for each of its
// objects, in order. The bytes given to item are a part of raw. An error of
// item ends the scan and is returned as it is.
func ScanList(raw []byte, item func(raw []byte) error) (ListInfo, error) {
	var info ListInfo
	f := walk(raw)
	for f.next() {
		switch f.num {
		case 1:
			f.nest(info.scan(f.bytes()))
		case 2:
			object := f.bytes()
			if f.err != nil {
				continue
			}
			if err := item(object); err != nil {
				return info, err
			}
		}
	}
	if f.err != nil {
		return ListInfo{}, fmt.Errorf("scan list: %w", f.err)
	}
	return info, nil
}

func (i *ListInfo) scan(b []byte) error {
	f := walk(b)
	for f.next() {
		switch f.num {
		case 2:
			i.ResourceVersion = string(f.bytes())
		case 3:
			i.Continue = string(f.bytes())
		}
	}
	return f.err
}

// Status is what we read of metav1.Status, the body of a failed request.
type Status struct {
	Reason            string
	Message           string
	Code              int32
	RetryAfterSeconds int32
}

// ScanStatus reads a Status without its envelope.
func ScanStatus(raw []byte) (Status, error) {
	var s Status
	f := walk(raw)
	for f.next() {
		switch f.num {
		case 3:
			s.Message = string(f.bytes())
		case 4:
			s.Reason = string(f.bytes())
		case 5:
			f.nest(s.scanDetails(f.bytes()))
		case 6:
			s.Code = int32(f.integer())
		}
	}
	if f.err != nil {
		return Status{}, fmt.Errorf("scan status: %w", f.err)
	}
	return s, nil
}

func (s *Status) scanDetails(b []byte) error {
	f := walk(b)
	for f.next() {
		if f.num == 5 {
			s.RetryAfterSeconds = int32(f.integer())
		}
	}
	return f.err
}

// ScanWatchEvent splits one frame of a protobuf watch stream (metav1.WatchEvent)
// into the event's type and its object. The object still has its envelope and
// is a part of frame.
func ScanWatchEvent(frame []byte) (typ string, object []byte, err error) {
	f := walk(frame)
	for f.next() {
		switch f.num {
		case 1:
			typ = internEvent(f.bytes())
		case 2:
			object, err = scanRawExtension(f.bytes())
			f.nest(err)
		}
	}
	if f.err != nil {
		return "", nil, fmt.Errorf("scan watch event: %w", f.err)
	}
	return typ, object, nil
}

func scanRawExtension(b []byte) (raw []byte, err error) {
	f := walk(b)
	for f.next() {
		if f.num == 1 {
			raw = f.bytes()
		}
	}
	return raw, f.err
}

func internEvent(b []byte) string {
	switch string(b) {
	case "ADDED":
		return "ADDED"
	case "MODIFIED":
		return "MODIFIED"
	case "DELETED":
		return "DELETED"
	case "BOOKMARK":
		return "BOOKMARK"
	case "ERROR":
		return "ERROR"
	}
	return string(b)
}
