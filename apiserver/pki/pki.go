// Package pki makes the certificates and keys of one control plane: its own
// certificate authorities, what the servers show, what clients show, and the
// key that signs service-account tokens. Nothing outlives the run directory.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity is how long a certificate holds. A run lasts minutes to days; `up`
// may be left running, so a year leaves room without asking for renewal.
const validity = 365 * 24 * time.Hour

// backdate makes a certificate valid a little before it is made, so that a
// wall clock which NTP steps back during the run does not invalidate it.
const backdate = time.Hour

// Authority is a certificate authority with its private key.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// NewAuthority makes a self-signed certificate authority.
func NewAuthority(commonName string) (*Authority, error) {
	key, serial, err := keyAndSerial()
	if err != nil {
		return nil, fmt.Errorf("make authority %s: %w", commonName, err)
	}
	template := newTemplate(serial, pkix.Name{CommonName: commonName})
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	template.IsCA = true
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make authority %s: %w", commonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make authority %s: %w", commonName, err)
	}
	return &Authority{cert: cert, key: key, pem: encode("CERTIFICATE", der)}, nil
}

// PEM returns the certificate of the authority, which is what a verifier needs.
func (a *Authority) PEM() []byte { return a.pem }

// Pool returns a pool with the authority alone, for a client of ours.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Write writes dir/name.crt and dir/name.key.
func (a *Authority) Write(dir, name string) (certFile, keyFile string, err error) {
	return Pair{Cert: a.pem, key: a.key}.Write(dir, name)
}

// Serving issues a server certificate for the given host names and IP
// addresses. Its serial number is new at every call: the client layer tells
// one start of a server from the next by it.
func (a *Authority) Serving(commonName string, hosts ...string) (Pair, error) {
	pair, err := a.issue(pkix.Name{CommonName: commonName}, x509.ExtKeyUsageServerAuth, hosts)
	if err != nil {
		return Pair{}, fmt.Errorf("issue serving certificate of %s: %w", commonName, err)
	}
	return pair, nil
}

// Client issues a client certificate; Kubernetes reads the user name from the
// common name and the groups from the organizations.
func (a *Authority) Client(user string, groups ...string) (Pair, error) {
	subject := pkix.Name{CommonName: user, Organization: groups}
	pair, err := a.issue(subject, x509.ExtKeyUsageClientAuth, nil)
	if err != nil {
		return Pair{}, fmt.Errorf("issue client certificate of %s: %w", user, err)
	}
	return pair, nil
}

func (a *Authority) issue(subject pkix.Name, usage x509.ExtKeyUsage, hosts []string) (Pair, error) {
	key, serial, err := keyAndSerial()
	if err != nil {
		return Pair{}, err
	}
	template := newTemplate(serial, subject)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Pair{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return Pair{}, err
	}
	return Pair{Cert: encode("CERTIFICATE", der), leaf: leaf, key: key}, nil
}

// Pair is a certificate with its private key.
type Pair struct {
	Cert []byte // PEM
	leaf *x509.Certificate
	key  *ecdsa.PrivateKey
}

// TLS returns the pair in the form that crypto/tls takes.
func (p Pair) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{p.leaf.Raw}, PrivateKey: p.key, Leaf: p.leaf}
}

// Key returns the private key as PEM.
func (p Pair) Key() ([]byte, error) { return encodePrivate(p.key) }

// Write writes dir/name.crt and dir/name.key.
func (p Pair) Write(dir, name string) (certFile, keyFile string, err error) {
	key, err := p.Key()
	if err != nil {
		return "", "", fmt.Errorf("encode key of %s: %w", name, err)
	}
	if certFile, err = WriteSecret(dir, name+".crt", p.Cert); err != nil {
		return "", "", err
	}
	if keyFile, err = WriteSecret(dir, name+".key", key); err != nil {
		return "", "", err
	}
	return certFile, keyFile, nil
}

// SigningKey is the key pair with which service-account tokens are signed
// (ES256) and checked.
type SigningKey struct{ key *ecdsa.PrivateKey }

// NewSigningKey makes a key for service-account tokens.
func NewSigningKey() (SigningKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return SigningKey{}, fmt.Errorf("make signing key: %w", err)
	}
	return SigningKey{key: key}, nil
}

// Write writes dir/name.pub and dir/name.key.
func (s SigningKey) Write(dir, name string) (publicFile, privateFile string, err error) {
	private, err := encodePrivate(s.key)
	if err != nil {
		return "", "", fmt.Errorf("encode key of %s: %w", name, err)
	}
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		return "", "", fmt.Errorf("encode public key of %s: %w", name, err)
	}
	if publicFile, err = WriteSecret(dir, name+".pub", encode("PUBLIC KEY", der)); err != nil {
		return "", "", err
	}
	if privateFile, err = WriteSecret(dir, name+".key", private); err != nil {
		return "", "", err
	}
	return publicFile, privateFile, nil
}

// WriteSecret writes dir/name so that only its owner can read it (0600), also
// when the file was there before with wider permissions.
func WriteSecret(dir, name string, content []byte) (string, error) {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	err = f.Chmod(0o600)
	if err == nil {
		_, err = f.Write(content)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	return path, nil
}

// keyAndSerial draws from the system's randomness and not from the plan's
// seed: a key is a secret, and no figure depends on it.
func keyAndSerial() (*ecdsa.PrivateKey, *big.Int, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	// RFC 5280 §4.1.2.2 wants a positive number of at most 20 octets; 127
	// random bits can not repeat in practice.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, fmt.Errorf("make serial: %w", err)
	}
	return key, serial.Add(serial, big.NewInt(1)), nil
}

func newTemplate(serial *big.Int, subject pkix.Name) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(validity),
	}
}

func encodePrivate(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return encode("PRIVATE KEY", der), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
