package lies

// initialLies are those in the state that a watch begins with.
func initialLies() []Lie {
	return []Lie{
		{Name: "initial-event-left-out", Breaks: []string{initialState}, Every: 2, watch: onInitial(leftOut)},
		{Name: "initial-events-end-early", Breaks: []string{initialEventsEnd}, Every: 2, watch: onInitial(endEarly)},
	}
}

// initial is a watch whose initial events are coming.
type initial struct {
	held *event // the last of them
	told bool   // one lie is enough for a watch
}

// onInitial is a lie on the initial events of a watch that has a bookmark at
// their end. tell is given each event up to that.
func onInitial(tell func(*liar, *initial, *event) []*event) func(*liar, *call) teller {
	return func(l *liar, q *call) teller {
		if !q.wantsState() || q.query.Get("allowWatchBookmarks") != "true" {
			return nil
		}
		s, over := &initial{}, false
		return func(e *event) []*event {
			switch {
			case e == nil && !over:
				return s.release(nil)
			case over || s.told:
				return []*event{e}
			case e.is("ADDED") || e.initialEnd():
				over = !e.is("ADDED")
				return tell(l, s, e)
			}
			over = true
			return s.release(e)
		}
	}
}

// release returns an event after what was held back.
func (s *initial) release(e *event) []*event {
	held := s.held
	s.held = nil
	if held == nil {
		return []*event{e}
	}
	return []*event{held, e}
}

// leftOut leaves out an object of the state that is older than another one, for
// without its latest object a state may be an earlier one.
func leftOut(l *liar, s *initial, e *event) []*event {
	if s.held != nil && !e.initialEnd() && e.object.version() > s.held.object.version() && l.turn() {
		l.tell()
		s.told, s.held = true, nil
		return []*event{e}
	}
	told := s.release(e)
	if e.initialEnd() {
		return told
	}
	s.held = e
	return told[:len(told)-1]
}

// endEarly ends the initial events before the last of them.
func endEarly(l *liar, s *initial, e *event) []*event {
	held := s.held
	if held != nil && e.initialEnd() && l.turn() {
		l.tell()
		s.told, s.held = true, nil
		return []*event{e, held}
	}
	told := s.release(e)
	if e.initialEnd() {
		return told
	}
	s.held = e
	return told[:len(told)-1]
}
