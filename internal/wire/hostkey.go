package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// SeedSize is the length of a host key seed in bytes, before its hexadecimal
// form: as much as an ed25519 key has.
const SeedSize = 32

// HostKey derives the agent's host key from the seed in EnvHostKeySeed. Both
// ends do it, so the driver knows the public half before it connects. The seed
// is hashed with a label first: should it ever serve a second purpose, neither
// use gives the other away.
func HostKey(seed string) (ed25519.PrivateKey, error) {
	raw, err := hex.DecodeString(seed)
	if err != nil || len(raw) != SeedSize {
		// The seed is a secret: the error does not repeat it.
		return nil, fmt.Errorf("reading the host key seed: want %d hexadecimal digits in %s, got %d characters", 2*SeedSize, EnvHostKeySeed, len(seed))
	}
	key := sha256.Sum256(append([]byte("fargate-driver host key 1\x00"), raw...))
	return ed25519.NewKeyFromSeed(key[:]), nil
}
