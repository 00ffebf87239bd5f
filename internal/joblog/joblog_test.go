package joblog

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestLinesCarryTheirColour(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	New(&out, false).Error("first %d\nsecond", 1)
	want := Red + "first 1" + Reset + "\n" + Red + "second" + Reset + "\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	out.Reset()
	New(&out, true).Warn("plain")
	if out.String() != "plain\n" {
		t.Errorf("got %q, want no colour", out.String())
	}
}

func TestSection(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := New(&out, false)
	log.now = func() time.Time { return time.Unix(1700000000, 0) }
	end := log.Section("phase: pre build", "Pre build", true)
	log.Info("inside")
	end()
	end()
	want := "\x1b[0Ksection_start:1700000000:phase_pre_build[collapsed=true]\r\x1b[0KPre build\n" +
		"inside\n" +
		"\x1b[0Ksection_end:1700000000:phase_pre_build\r\x1b[0K\n"
	if out.String() != want {
		t.Errorf("got %q\nwant %q", out.String(), want)
	}
}

func TestSectionAtTellsItsOwnTimes(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	end := New(&out, true).SectionAt("b", "Build", false, time.Unix(1700000000, 0))
	end(time.Unix(1700000042, 0))
	want := "\x1b[0Ksection_start:1700000000:b\r\x1b[0KBuild\n" +
		"\x1b[0Ksection_end:1700000042:b\r\x1b[0K\n"
	if out.String() != want {
		t.Errorf("got %q\nwant %q", out.String(), want)
	}
}

func TestDefuse(t *testing.T) {
	t.Parallel()
	marker := regexp.MustCompile(`section_(start|end):\d+:`)
	for _, text := range []string{
		"\x1b[0Ksection_start:1700000000:phase_BUILD[collapsed=true]\r\x1b[0KGot you",
		"\x1b[0Ksection_end:1700000000:phase_BUILD\r\x1b[0K",
	} {
		if got := Defuse(text); marker.MatchString(got) {
			t.Errorf("got %q, still a marker", got)
		}
	}
	if got := Defuse("a section_name: of its own"); got != "a section_name: of its own" {
		t.Errorf("got %q, want it as it was", got)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		350 * time.Millisecond:                  "350ms",
		4200 * time.Millisecond:                 "4.2s",
		21 * time.Second:                        "21s",
		3*time.Minute + 5*time.Second:           "3m05s",
		59*time.Minute + 59900*time.Millisecond: "60m00s",
		2*time.Hour + 4*time.Minute:             "2h04m",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}
