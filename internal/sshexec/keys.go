package sshexec

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// GenerateKey makes the key pair of one task: the line for authorized_keys,
// without comment and line end, and the private key as OpenSSH writes it.
// Ed25519, because OpenSSH 8.8 and later refuse what older keys sign with by
// default, and because both ends must be quick.
func GenerateKey() (authorizedKey string, privateKey []byte, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", nil, fmt.Errorf("making an SSH key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return "", nil, fmt.Errorf("encoding an SSH key: %w", err)
	}
	line, err := authorizedLine(public)
	return line, pem.EncodeToMemory(block), err
}

// NewHostKeySeed makes the secret for wire.EnvHostKeySeed.
func NewHostKeySeed() (string, error) {
	seed := make([]byte, wire.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		return "", fmt.Errorf("making a host key seed: %w", err)
	}
	return hex.EncodeToString(seed), nil
}

// HostKeyFromSeed gives the public half of the host key that an agent derives
// from the seed, in the form of Target.HostKey.
func HostKeyFromSeed(seed string) (string, error) {
	key, err := wire.HostKey(seed)
	if err != nil {
		return "", err
	}
	return authorizedLine(key.Public().(ed25519.PublicKey))
}

func authorizedLine(key ed25519.PublicKey) (string, error) {
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("encoding an SSH key: %w", err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public))), nil
}
