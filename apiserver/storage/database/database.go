// Package database runs the database servers that kine keeps its data in, those
// of Debian's packages, each for one run: a new data directory in the run
// directory, loopback only, never as root, and gone with the run.
package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/child"
)

// initBound, startBound and stopBound bound the creation of an empty database,
// the start of a server, which may have to recover, and its stop.
const (
	initBound  = 2 * time.Minute
	startBound = time.Minute
	stopBound  = 30 * time.Second
)

// poll is the pause between two attempts to reach a server.
const poll = 50 * time.Millisecond

// Server is a database server, to be started with Start.
type Server struct {
	product
	logs    string
	port    *link.Port
	process *child.Process
}

// product is what one database differs in from another.
type product struct {
	name string // of the process and of its log
	pkg  string // Debian's package
	user string // the one that Debian's package makes, to run as where we are root
	// programs are looked for in the PATH and then in places, in which * may
	// stand for a version.
	programs []string
	places   []string
	// marker is a file of the data directory that is there once it is made.
	marker string
	create func(bin map[string]string, data string) []string
	serve  func(bin map[string]string, data string, port int) []string
	// endpoint is what to tell kine.
	endpoint func(port int) string
	fatal    func(line string) string
	settings map[string]string
}

// New returns a server that writes its log to a directory.
func newServer(p product, logs string) *Server { return &Server{product: p, logs: logs} }

// Start makes the data in a directory unless it is there, starts the server,
// and returns what to tell kine. died is told of an end that is not Stop's
// doing. A Start that fails leaves no process and no port.
func (s *Server) Start(ctx context.Context, dir string, died func(error)) (endpoint string, err error) {
	bin, err := s.find()
	if err != nil {
		return "", err
	}
	owner, err := s.owner()
	if err != nil {
		return "", err
	}
	data := filepath.Join(dir, "data")
	if err := s.prepare(ctx, bin, dir, data, owner); err != nil {
		return "", err
	}
	number := 0
	if s.port != nil {
		number = s.port.Number
	}
	if s.port, err = link.ReservePort(number); err != nil {
		return "", fmt.Errorf("%s: %w", s.name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	command := s.serve(bin, data, s.port.Number)
	s.process, err = child.Start(child.Config{
		Name: s.name, Path: command[0], Args: command[1:], Dir: data, User: owner,
		Env: environment, LogFile: filepath.Join(s.logs, s.name+".log"), Fatal: s.fatal,
	})
	if err != nil {
		return "", err
	}
	if err := s.await(ctx); err != nil {
		return "", fmt.Errorf("start %s: %w", s.name, err)
	}
	go mourn(s.process, s.name, died)
	return s.endpoint(s.port.Number), nil
}

// environment of a server: messages in English, whatever a person speaks.
var environment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"}

func mourn(p *child.Process, name string, died func(error)) {
	<-p.Exited()
	if !p.Expected() {
		died(fmt.Errorf("%s died: %w", name, p.Failure()))
	}
}

// Stop ends the server in good order, after whoever uses it. It takes up to
// 30 s, after which the server is killed.
func (s *Server) Stop() error {
	var err error
	if s.process != nil {
		err = s.process.Stop(stopBound)
		s.process = nil
	}
	if s.port != nil {
		s.port.Release()
	}
	return err
}

// Name of the server.
func (s *Server) Name() string { return s.name }

// PID of the server, 0: it is down.
func (s *Server) PID() int {
	if s.process == nil {
		return 0
	}
	return s.process.PID()
}

// Keeps says that the data outlives a kine process.
func (s *Server) Keeps() bool { return true }

// Settings are those worth recording with a run's figures.
func (s *Server) Settings() map[string]string {
	settings := map[string]string{"driver": s.name}
	for name, value := range s.settings {
		settings[name] = value
	}
	return settings
}

// Installed says what is missing, nil: nothing is.
func (s *Server) Installed() error {
	_, err := s.find()
	return err
}

// find returns where the programs are.
func (s *Server) find() (map[string]string, error) {
	bin := map[string]string{}
	for _, program := range s.programs {
		if file, err := exec.LookPath(program); err == nil {
			bin[program] = file
			continue
		}
		var found []string
		for _, place := range s.places {
			files, err := filepath.Glob(filepath.Join(place, program))
			if err != nil {
				return nil, err
			}
			found = append(found, files...)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s is not installed: there is no %s in the PATH or in %s; in Debian it comes with %s (apt-get install %[4]s)",
				s.name, program, strings.Join(s.places, ", "), s.pkg)
		}
		slices.Sort(found)
		bin[program] = found[len(found)-1]
	}
	return bin, nil
}

// owner is whom the server runs as, nil: as we do. Databases refuse to run as
// root, and should.
func (s *Server) owner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	var errs []error
	for _, name := range []string{s.user, "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("%s does not run as root, and there is no other user for it: %w", s.name, errors.Join(errs...))
}

// prepare makes the data directory, and an empty database in it if there is
// none.
func (s *Server) prepare(ctx context.Context, bin map[string]string, dir, data string, owner *syscall.Credential) error {
	if _, err := os.Stat(filepath.Join(data, s.marker)); err == nil {
		return nil
	}
	if err := os.Mkdir(data, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make %s's data directory: %w", s.name, err)
	}
	if owner != nil {
		if err := os.Chown(data, int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("make %s's data directory: %w", s.name, err)
		}
		if err := reachable(dir); err != nil {
			return fmt.Errorf("%s runs as another user than root: %w", s.name, err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, initBound, fmt.Errorf("it had %v", initBound))
	defer cancel()
	command := s.create(bin, data)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Dir = environment, data
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: owner}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("make an empty database with %s: %w: %s", filepath.Base(command[0]), err, cause(out.String()))
	}
	return nil
}

// reachable lets another user pass through the two directories that are ours,
// and says which one above them does not.
func reachable(dir string) error {
	for _, own := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(own, 0o711); err != nil {
			return err
		}
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode()&0o001 == 0 {
			return fmt.Errorf("others may not pass through %s (mode %s): choose a run directory elsewhere", dir, info.Mode())
		}
	}
	return nil
}

// cause is the last line that names an error, the last of all if none does:
// mariadb-install-db ends with where to ask for help.
func cause(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, l := range slices.Backward(lines) {
		if strings.Contains(l, "ERROR") || strings.Contains(l, "FATAL") {
			return strings.TrimSpace(l)
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// await waits until the server takes connections.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startBound, fmt.Errorf("it had %v", startBound))
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", s.port.Addr())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-s.process.Exited():
			return s.process.Failure()
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}
