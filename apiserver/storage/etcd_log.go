package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/logutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// openLog opens a member's log file, to append, and builds its logger with
// etcd's own format, level (info) and sampling.
//
// Writing the log must never hurt the run: a log that cannot be written, for
// example because the disk is full, is dropped without a word on stderr.
func openLog(path, member string, hook zapcore.CheckWriteHook) (*os.File, *zap.Logger, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, err
	}
	upstream := logutil.DefaultZapLoggerConfig
	core := zapcore.NewCore(zapcore.NewJSONEncoder(upstream.EncoderConfig), zapcore.Lock(file), zapcore.InfoLevel)
	sampled := zapcore.NewSamplerWithOptions(core, time.Second, upstream.Sampling.Initial, upstream.Sampling.Thereafter)
	log := zap.New(sampled, zap.AddCaller(), zap.ErrorOutput(zapcore.AddSync(io.Discard)),
		zap.Fields(zap.String("member", member)), zap.WithFatalHook(hook), zap.WithPanicHook(hook))
	return file, log, nil
}

// exitHook is what happens at a fatal or panic entry in a member's log. etcd
// means to end its process there, for example when it cannot write its log to
// a full disk; here that would end the harness and lose what it has measured.
// So only the goroutine that logged the entry ends, and the member counts as
// dead. A bare panic inside etcd still ends the process.
type exitHook struct {
	died func(error)

	mu   sync.Mutex
	last error
}

// OnWrite implements zapcore.CheckWriteHook.
func (h *exitHook) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	err := errors.New(entry.Message)
	for _, f := range fields {
		if cause, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			err = fmt.Errorf("%w: %w", err, cause)
		}
	}
	h.mu.Lock()
	if h.last == nil {
		h.last = err
	}
	h.mu.Unlock()
	h.died(err)
	runtime.Goexit()
}

// cause returns the first fatal entry since the last call, or nil.
func (h *exitHook) cause() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.last
	h.last = nil
	return err
}
