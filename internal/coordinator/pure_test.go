package coordinator

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

func TestReadSettings(t *testing.T) {
	t.Parallel()
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8yKFPHFVDZlU6sN3cdqc5ZsMLKhB2Pf7g4S0kJcSxF comment"
	read := func(environ ...string) (Settings, error) {
		return ReadSettings(func(name string) string { return lookup(environ, name) })
	}
	s, err := read(wire.EnvPublicKey + "=" + key)
	if err != nil || s.IdleLimit != 15*time.Minute || s.ResumeLimit != 10*time.Minute || !s.Deadline.IsZero() || s.SpoolLimit != 64<<20 {
		t.Errorf("defaults: %+v, %v", s, err)
	}
	s, err = read(wire.EnvPublicKey+"="+key, wire.EnvIdleLimit+"=0", wire.EnvDeadline+"=1700000000", wire.EnvSpoolLimit+"=5")
	if err != nil || s.IdleLimit != 0 || s.Deadline.Unix() != 1700000000 || s.SpoolLimit != 5 {
		t.Errorf("set: %+v, %v", s, err)
	}
	// All mistakes at once, and no secret in them.
	_, err = read(wire.EnvPublicKey+"=rubbish", wire.EnvHostKeySeed+"=topsecret", wire.EnvIdleLimit+"=soon", wire.EnvDeadline+"=tomorrow", wire.EnvSpoolLimit+"=-1", wire.EnvStopTimeout+"=-3s", wire.EnvUmask+"=8")
	for _, name := range []string{wire.EnvPublicKey, wire.EnvHostKeySeed, wire.EnvIdleLimit, wire.EnvDeadline, wire.EnvSpoolLimit, wire.EnvStopTimeout, wire.EnvUmask} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not among the mistakes: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "topsecret") {
		t.Errorf("the seed is in the error: %v", err)
	}
	if _, err := read(); err == nil || !strings.Contains(err.Error(), wire.EnvPublicKey) {
		t.Errorf("without a key: %v", err)
	}
}

func TestWithoutSecrets(t *testing.T) {
	t.Parallel()
	got := WithoutSecrets([]string{"A=1", wire.EnvHostKeySeed + "=x", wire.EnvPublicKey + "=y", "SSH_PUBLIC_KEY_2=kept", wire.EnvExecution + "=z", "odd"})
	if want := []string{"A=1", "SSH_PUBLIC_KEY_2=kept", "odd"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	const rest = " S 1 42 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200"
	for _, name := range []string{"bash", "a b", "x) S 9 9 9", "(())", ""} {
		p, err := parseStat([]byte("42 (" + name + ")" + rest))
		if want := (process{pid: 42, parent: 1, session: 41, started: 987654}); err != nil || p != want {
			t.Errorf("name %q: got %+v, %v", name, p, err)
		}
	}
	if p, err := parseStat([]byte("42 (x)" + strings.Replace(rest, "S", "Z", 1))); err != nil || !p.zombie {
		t.Errorf("zombie: %+v, %v", p, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (bash) S 1 42 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200"))
	f.Add([]byte(") ("))
	f.Fuzz(func(t *testing.T, b []byte) { parseStat(b) })
}

func TestMembers(t *testing.T) {
	t.Parallel()
	const agent = 1
	leader := process{pid: 10, parent: agent, session: 10, mark: "M"}
	other := process{pid: 50, parent: agent, session: 50, mark: "N"}
	for _, test := range []struct {
		name  string
		alone bool
		all   []process
		want  []int
	}{
		{"the leader", true, []process{leader}, []int{10}},
		{"children and theirs", true, []process{leader, {pid: 11, parent: 10}, {pid: 12, parent: 11}}, []int{10, 11, 12}},
		{"not another script's", false, []process{leader, other, {pid: 51, parent: 50}}, []int{10}},
		{"an orphan by its mark", false, []process{leader, {pid: 20, parent: agent, session: 20, mark: "M"}}, []int{10, 20}},
		{"an orphan by its session", false, []process{leader, {pid: 20, parent: agent, session: 10}}, []int{10, 20}},
		{"a stray orphan when alone", true, []process{leader, {pid: 20, parent: agent, session: 20}, {pid: 21, parent: 20}}, []int{10, 20, 21}},
		{"a stray orphan beside another script", false, []process{leader, other, {pid: 20, parent: agent, session: 20}}, []int{10}},
		{"a stray orphan from before", true, []process{leader, {pid: 20, parent: agent, session: 20, started: 5}}, []int{10}},
		{"its number used again", true, []process{leader, {pid: 20, parent: agent, session: 20, started: 6}}, []int{10, 20}},
		{"after the leader's end", true, []process{{pid: 11, parent: agent, session: 10, mark: "M"}}, []int{11}},
		{"no zombies, but their children", true, []process{{pid: 10, parent: agent, session: 10, zombie: true}, {pid: 11, parent: 10}}, []int{11}},
		{"in any order", true, []process{{pid: 12, parent: 11}, {pid: 11, parent: 10}, leader}, []int{12, 11, 10}},
	} {
		f := family{leader: 10, mark: "M", alone: test.alone, before: map[identity]bool{{20, 5}: true}}
		if got := f.members(agent, test.all); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestOOMKills(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		n    int64
		ok   bool
	}{
		{"low 0\nhigh 0\nmax 30\noom 4\noom_kill 3\noom_group_kill 0\n", 3, true},
		{"oom_kill_disable 0\nunder_oom 0\noom_kill 12\n", 12, true},
		{"oom_kill_disable 0\nunder_oom 0\n", 0, false},
		{"", 0, false},
	} {
		if n, ok := parseOOMKills([]byte(test.text)); n != test.n || ok != test.ok {
			t.Errorf("%q: got %d, %t", test.text, n, ok)
		}
	}
	v1, v2 := cgroupPaths("12:cpu,cpuacct:/a\n4:memory:/ecs/task\n0::/unified\nrubbish\n")
	if v1 != "/ecs/task" || v2 != "/unified" {
		t.Errorf("got %q, %q", v1, v2)
	}
}

// The spool gives what was written, whatever the sizes, and wherever readers
// come and go: through memory, through the file, and around both rings.
func TestSpoolKeepsOrder(t *testing.T) {
	t.Parallel()
	for seed := range 10 {
		bytesOf := rand.NewChaCha8([32]byte{byte(seed)})
		random := rand.New(bytesOf)
		s := newSpool(t.TempDir(), 2*memorySize)
		var want []byte
		payload := make([]byte, wire.MaxPayload)
		var frames [][]byte
		for range 300 {
			part := payload[:1+random.IntN(len(payload))]
			bytesOf.Read(part)
			frames = append(frames, bytes.Clone(part))
			want = wire.AppendFrame(want, wire.Stdout, part)
		}
		want = wire.AppendFrame(want, wire.Exit, []byte("code=0\n"))
		go func() {
			for _, frame := range frames {
				s.write(wire.Stdout, frame)
			}
			s.note(wire.Exit, []byte("code=0\n"))
		}()
		var got []byte
		for offset := int64(0); ; {
			c, err := s.attach(offset)
			if err != nil {
				t.Fatal(err)
			}
			ended := false
			for range random.IntN(20) {
				piece, err := c.read()
				if errors.Is(err, io.EOF) {
					ended = true
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				piece = piece[:1+random.IntN(len(piece))] // the rest is lost with the connection
				got = append(got, piece...)
				offset += int64(len(piece))
				if c.next != offset {
					break
				}
				if random.IntN(3) == 0 {
					if err := c.ack(offset); err != nil {
						t.Fatal(err)
					}
				}
			}
			c.detach(io.ErrClosedPipe)
			if ended {
				break
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %d bytes came that are not the %d written", seed, len(got), len(want))
		}
	}
}

func TestSpoolRefuses(t *testing.T) {
	t.Parallel()
	s := newSpool(t.TempDir(), 1<<20)
	s.write(wire.Stdout, []byte("12345"))
	if _, err := s.attach(11); err == nil {
		t.Error("a reader may start after the end")
	}
	c, err := s.attach(wire.FromOldest)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ack(1); err == nil {
		t.Error("what was not sent may be acknowledged")
	}
	if _, err := c.read(); err != nil {
		t.Fatal(err)
	}
	if err := c.ack(10); err != nil {
		t.Fatal(err)
	}
	if _, err := s.attach(0); err == nil {
		t.Error("a reader may start at what is gone")
	}
	s.note(wire.Exit, []byte("code=1\n"))
	if err := s.write(wire.Stdout, []byte("late")); err == nil {
		t.Error("something may be written after the end")
	}
	// The end is there for whoever asks, even when it was acknowledged.
	for range 2 {
		c, err := s.attach(wire.FromOldest)
		if err != nil {
			t.Fatal(err)
		}
		piece, err := c.read()
		if err != nil || !bytes.Equal(piece, wire.AppendFrame(nil, wire.Exit, []byte("code=1\n"))) {
			t.Errorf("got %q, %v", piece, err)
		}
		if err := c.ack(10 + int64(len(piece))); err != nil {
			t.Error(err)
		}
	}
}

// Output that nobody came for is dropped in the end; how the script ended is not.
func TestSpoolDiscards(t *testing.T) {
	t.Parallel()
	s := newSpool(t.TempDir(), 1<<20)
	s.write(wire.Stdout, []byte("output"))
	s.discard() // the script still runs: nothing happens
	s.note(wire.Exit, []byte("code=1\n"))
	c, err := s.attach(wire.FromOldest)
	if err != nil {
		t.Fatal(err)
	}
	s.discard() // somebody reads: nothing happens
	if piece, err := c.read(); err != nil || !bytes.HasPrefix(piece, wire.AppendFrame(nil, wire.Stdout, []byte("output"))) {
		t.Errorf("got %q, %v", piece, err)
	}
	c.detach(io.ErrClosedPipe)
	s.discard()
	if s.ring != nil {
		t.Error("memory is still held")
	}
	c, err = s.attach(wire.FromOldest)
	if err != nil {
		t.Fatal(err)
	}
	if piece, err := c.read(); err != nil || !bytes.Equal(piece, wire.AppendFrame(nil, wire.Exit, []byte("code=1\n"))) {
		t.Errorf("got %q, %v", piece, err)
	}
}

// A writer waits for its reader, not for the disk, while there is a reader.
func TestSpoolBackPressure(t *testing.T) {
	t.Parallel()
	s := newSpool(t.TempDir(), 64<<20)
	c, err := s.attach(0)
	if err != nil {
		t.Fatal(err)
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		for range 100 {
			s.write(wire.Stdout, make([]byte, wire.MaxPayload))
		}
		s.note(wire.Exit, nil)
	})
	total := 0
	for {
		piece, err := c.read()
		if err != nil {
			break
		}
		total += len(piece)
		if err := c.ack(int64(total)); err != nil {
			t.Fatal(err)
		}
	}
	writer.Wait()
	if total != 100*wire.MaxFrame+wire.HeaderSize || s.file != nil {
		t.Errorf("%d bytes came; a file was used: %t", total, s.file != nil)
	}
}

// Names of services are added to what the image has; where that may not be, the
// agent goes on and its log says so.
func TestNameHosts(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/hosts"
	if err := os.WriteFile(file, []byte("127.0.0.1\tlocalhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := nameHosts(Settings{HostsFile: file}); err != nil {
		t.Error(err)
	}
	if err := nameHosts(Settings{Hosts: []string{"redis", "cache"}, HostsFile: file}); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(file); string(got) != "127.0.0.1\tlocalhost\n127.0.0.1\tredis cache\n" {
		t.Errorf("got %q", got)
	}
	if err := nameHosts(Settings{Hosts: []string{"redis"}, HostsFile: t.TempDir()}); err == nil {
		t.Error("a directory was written to")
	}
}
