package apiserver

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/planecheck/planecheck/apiserver/pki"
)

// scrapeBound bounds one scrape. The metrics of a server with 5,000 nodes are
// some megabytes, and a busy one takes seconds.
const scrapeBound = 30 * time.Second

// prober asks components as the administrator.
type prober struct{ http *http.Client }

func newProber(ca *pki.Authority, admin tls.Certificate) *prober {
	return &prober{http: &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{admin}},
		// Compression would cost the component more than loopback does.
		DisableCompression:  true,
		MaxIdleConnsPerHost: 1,
	}}}
}

// get fetches a path of a component. Anything but 200 is an error that quotes
// the answer.
func (p *prober) get(ctx context.Context, addr, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := p.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, &AnswerError{Path: path, Status: response.Status, Text: excerpt(string(body))}
	}
	return body, nil
}

// AnswerError is an answer of a component other than 200.
type AnswerError struct {
	Path   string // of the request
	Status string // e.g. "500 Internal Server Error"
	Text   string // the beginning of what it says
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("%s answers %s: %s", e.Path, e.Status, e.Text)
}

func (p *prober) close() { p.http.CloseIdleConnections() }

// Get fetches an HTTP path of a component as the administrator, e.g.
// "/debug/pprof/profile?seconds=10" of "kube-scheduler-0". Only ctx bounds it.
func (c *ControlPlane) Get(ctx context.Context, component, path string) ([]byte, error) {
	target := c.find(component)
	if target == nil {
		return nil, fmt.Errorf("there is no component %q", component)
	}
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%q is no path", path)
	}
	body, err := c.prober.get(ctx, target.Addr, path)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", component, err)
	}
	return body, nil
}

// Metrics fetches the metrics of a component in Prometheus' text format. It
// gives up after 30 s.
func (c *ControlPlane) Metrics(ctx context.Context, component string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeBound)
	defer cancel()
	return c.Get(ctx, component, "/metrics")
}

// serverVersion asks a kube-apiserver for its version.
func (p *prober) serverVersion(ctx context.Context, addr string) (string, error) {
	body, err := p.get(ctx, addr, "/version")
	if err != nil {
		return "", err
	}
	var info struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return "", fmt.Errorf("read /version: %w", err)
	}
	if info.GitVersion == "" {
		return "", errors.New("/version names no gitVersion")
	}
	return info.GitVersion, nil
}
