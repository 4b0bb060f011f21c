package archive

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// follow reads a history that is being written, and returns when the sequence
// has ended: the numbers of the records and the error.
func follow(t *testing.T, ctx context.Context, dir string, opt FollowOptions) (numbers []int64, end error) {
	t.Helper()
	r, err := Follow(ctx, dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	for rec, err := range Read(r, tinies) {
		if err != nil {
			return numbers, err
		}
		numbers = append(numbers, rec.N)
	}
	if err := r.Complete(); err != nil {
		t.Errorf("the sequence ended without an error, but the history is not complete: %v", err)
	}
	return numbers, nil
}

// A reader that is faster than the writer gets every record once, also of a
// stream that was not there when it began.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	w := create(t, dir, Options{})
	r, err := Follow(t.Context(), dir, quickly)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan int64)
	go func() {
		defer close(read)
		for rec, err := range Read(r, tinies) {
			if err != nil {
				t.Error(err)
				return
			}
			read <- rec.N
		}
	}()
	s := stream(t, w, tinies)
	for i := range int64(50) {
		s.Append(newTiny(int(i)))
		w.Flush() // a segment each
		if n := <-read; n != i {
			t.Fatalf("record %d is number %d", i, n)
		}
	}
	s.Append(newTiny(50))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n := <-read; n != 50 {
		t.Errorf("the last record is number %d", n)
	}
	if _, more := <-read; more {
		t.Error("there are more records than were written")
	}
	if err := r.Complete(); err != nil {
		t.Error(err)
	}
}

// quickly follows without pauses.
var quickly = FollowOptions{Poll: time.Millisecond, GiveUp: time.Minute}

// A history that was closed before is read as ever.
func TestFollowClosed(t *testing.T) {
	dir := t.TempDir()
	record(t, dir, tinies, []tiny{*newTiny(0), *newTiny(1)}, 1)
	if numbers, err := follow(t, t.Context(), dir, quickly); err != nil || len(numbers) != 2 {
		t.Errorf("%d records, %v", len(numbers), err)
	}
	remove(t, dir, segmentFile("tinies", 2))
	if numbers, err := follow(t, t.Context(), dir, quickly); !isIncomplete(err) || len(numbers) != 1 {
		t.Errorf("%d records, %v", len(numbers), err)
	}
}

// Whoever follows a writer that was killed does not wait for ever, and does not
// take what there is for the whole.
func TestFollowAbandoned(t *testing.T) {
	dir := t.TempDir()
	w := create(t, dir, Options{})
	defer w.Close()
	stream(t, w, tinies).Append(newTiny(0))
	w.Flush()
	numbers, err := follow(t, t.Context(), dir, FollowOptions{Poll: time.Millisecond, GiveUp: 20 * time.Millisecond})
	if !isIncomplete(err) || len(numbers) != 1 || !strings.Contains(err.Error(), "was not closed") {
		t.Errorf("%d records, %v", len(numbers), err)
	}
}

func TestFollowCancelled(t *testing.T) {
	dir := t.TempDir()
	w := create(t, dir, Options{})
	defer w.Close()
	cause := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, cause)
	defer cancel()
	if _, err := follow(t, ctx, dir, quickly); !errors.Is(err, cause) || errors.Is(err, ErrIncomplete) {
		t.Errorf("%v, want the cause of the context", err)
	}
}

// What was lost is known at the end only.
func TestFollowLost(t *testing.T) {
	dir := t.TempDir()
	w := create(t, dir, Options{QueueBytes: 100})
	s := stream(t, w, tinies)
	large := newTiny(1)
	large.Text = strings.Repeat("x", 100)
	go func() {
		s.Append(newTiny(0))
		s.Append(large) // there is never room for it
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	numbers, err := follow(t, t.Context(), dir, quickly)
	if !isIncomplete(err) || len(numbers) != 1 || !strings.Contains(err.Error(), "1 records of tinies were lost") {
		t.Errorf("%d records, %v", len(numbers), err)
	}
}

// A writer of the same process says when it is done, also when it could not
// close the history; before that, whoever reads is told that there is nothing
// left to read.
func TestFollowGone(t *testing.T) {
	dir := t.TempDir()
	w := create(t, dir, Options{})
	defer w.Close()
	stream(t, w, tinies).Append(newTiny(0))
	w.Flush()
	gone, idle := make(chan struct{}), 0
	numbers, err := follow(t, t.Context(), dir, FollowOptions{Poll: time.Millisecond, Gone: gone, Idle: func() {
		if idle++; idle == 1 {
			close(gone)
		}
	}})
	if !isIncomplete(err) || len(numbers) != 1 || idle == 0 {
		t.Errorf("%d records, idle %d times, %v", len(numbers), idle, err)
	}
}

// End waits for the end without reading anything.
func TestFollowEnd(t *testing.T) {
	dir := t.TempDir()
	w := create(t, dir, Options{})
	r, err := Follow(t.Context(), dir, quickly)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		stream(t, w, tinies).Append(newTiny(0))
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	if err := r.Complete(); err != nil || r.Streams()[0].Rows() != 1 {
		t.Errorf("%v, %v", r.Streams(), err)
	}
}
