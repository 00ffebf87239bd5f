package wire_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

func TestBanner(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		banner   string
		protocol int
		build    string
		ok       bool
	}{
		{wire.Banner("v1.2.3"), wire.Version, "v1.2.3", true},
		{wire.Banner("v1 2\r\nX: é" + strings.Repeat("x", 300)), wire.Version, "v1_2__X:__" + strings.Repeat("x", 54), true},
		{"SSH-2.0-FargateCoordinator_7 v9\r\n", 7, "v9", true},
		{"SSH-2.0-FargateCoordinator_0", 0, "", true},
		{"SSH-2.0-FargateCoordinator_x v9", 0, "", false},
		{"SSH-2.0-FargateCoordinator_-1 v9", 0, "", false},
		{"SSH-2.0-OpenSSH_9.2p1 Debian-2", 0, "", false},
		{"", 0, "", false},
	} {
		protocol, build, ok := wire.ParseBanner(test.banner)
		if protocol != test.protocol || build != test.build || ok != test.ok {
			t.Errorf("%q: got %d, %q, %t", test.banner, protocol, build, ok)
		}
		if len(test.banner) > 255 {
			t.Errorf("%q is longer than RFC 4253 allows", test.banner)
		}
	}
}

func TestHostKey(t *testing.T) {
	t.Parallel()
	seed := strings.Repeat("0f", wire.SeedSize)
	one, err := wire.HostKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := wire.HostKey(seed); err != nil || !again.Equal(one) {
		t.Errorf("a second derivation differs: %v", err)
	}
	if other, err := wire.HostKey(strings.Repeat("0e", wire.SeedSize)); err != nil || other.Equal(one) {
		t.Errorf("another seed gives the same key: %v", err)
	}
	for _, bad := range []string{"", "00", strings.Repeat("zz", wire.SeedSize), seed + "00", seed[1:]} {
		if _, err := wire.HostKey(bad); err == nil {
			t.Errorf("seed %q is accepted", bad)
		} else if len(bad) > 4 && strings.Contains(err.Error(), bad) {
			t.Errorf("the error repeats the seed: %v", err)
		}
	}
}

// A message is what it was after the way through its text form.
func TestMessages(t *testing.T) {
	t.Parallel()
	check := func(want any, got any, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	request := wire.Request{Protocol: 1, ID: "job 42/build_script", Client: "C", Instance: "I", Size: 5, Offset: wire.FromOldest, ResumeLimit: time.Hour, Grace: time.Second, Silence: 30 * time.Second}
	gotRequest, err := wire.ParseRequest(request.Marshal())
	check(request, gotRequest, err)
	state := wire.StateMessage{Instance: "I", Status: wire.StatusRunning, Offset: 77}
	gotState, err := wire.ParseState(state.Marshal())
	check(state, gotState, err)
	refused := wire.RefusedMessage{Reason: wire.ReasonOffset, Text: "that part = gone"}
	gotRefused, err := wire.ParseRefused(refused.Marshal())
	check(refused, gotRefused, err)
	notice := wire.NoticeMessage{Kind: wire.NoticeStopping, Left: 30 * time.Second, Count: 2, Text: "Spot"}
	gotNotice, err := wire.ParseNotice(notice.Marshal())
	check(notice, gotNotice, err)
	exit := wire.ExitMessage{Code: 137, Signal: 9, Cause: wire.CauseScript}
	gotExit, err := wire.ParseExit(exit.Marshal())
	check(exit, gotExit, err)
	cancel := wire.CancelMessage{Grace: 90 * time.Second}
	gotCancel, err := wire.ParseCancel(cancel.Marshal())
	check(cancel, gotCancel, err)
}

func TestMessagesThatAreWrong(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "id=", "id=a\nid=b\n", "size=5\n", "id=a\nsize=-1\n", "id=a\nsize=999999999999\n", "id=a\noffset=-2\n",
		"id=a\ngrace=soon\n", "id=a\ngrace=-5s\n", "id=a\nnonsense\n", "id=" + strings.Repeat("x", 201) + "\n", "id=a\nx=" + strings.Repeat("x", 9000),
	} {
		if got, err := wire.ParseRequest([]byte(text)); err == nil {
			t.Errorf("%.50q is accepted: %+v", text, got)
		}
	}
	// A text with line ends in it must not become more fields.
	got, err := wire.ParseRefused(wire.RefusedMessage{Reason: "a", Text: "b\nreason=c"}.Marshal())
	if err != nil || got.Reason != "a" || got.Text != "b reason=c" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestFrames(t *testing.T) {
	t.Parallel()
	frame := wire.AppendFrame(nil, wire.Stdout, []byte("hello"))
	kind, size, err := wire.ParseHeader(frame)
	if err != nil || kind != wire.Stdout || size != 5 || !bytes.Equal(frame[wire.HeaderSize:], []byte("hello")) {
		t.Errorf("got %q, %d, %v", kind, size, err)
	}
	if _, _, err := wire.ParseHeader([]byte{'o', 0, 1, 0, 0}); err == nil {
		t.Error("a frame that is too large is accepted")
	}
	if offset, err := wire.ParseAck(wire.AppendAck(nil, 1<<40)[wire.HeaderSize:]); err != nil || offset != 1<<40 {
		t.Errorf("got %d, %v", offset, err)
	}
	if wire.State.InLog() || wire.Ack.InLog() || !wire.Exit.InLog() || !wire.Kind('z').InLog() {
		t.Error("upper case is of the connection, lower case of the log")
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	if wire.SignalNumber("TERM") != 15 || wire.SignalNumber("XYZ") != 0 || wire.SignalName(9) != "KILL" {
		t.Error("numbers and names do not agree with Linux")
	}
	if name := wire.SignalName(31); !strings.Contains(name, "@") {
		t.Errorf("a signal without a name in SSH is %q", name)
	}
}
