package task

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSizesOfFargate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		size Size
		want Fit
		says string
	}{
		{Size{256, 512}, Fits, ""},
		{Size{256, 1024}, Fits, ""},
		{Size{256, 1536}, Impossible, "512, 1024, 2048 MiB"},
		{Size{512, 4096}, Fits, ""},
		{Size{512, 5120}, Impossible, "1024, 2048, 3072, 4096 MiB"},
		{Size{4096, 30720}, Fits, ""},
		{Size{4096, 31744}, Impossible, "8192 to 30720 MiB in steps of 1024"},
		{Size{8192, 20480}, Fits, ""},
		{Size{8192, 17408}, Impossible, "16384 to 61440 MiB in steps of 4096"},
		{Size{16384, 122880}, Fits, ""},
		{Size{32768, 249856}, Fits, ""},
		{Size{32768, 65536}, Impossible, "61440, 122880, 249856"},
		{Size{300, 512}, Unknown, "known are 256, 512, 1024"},
	} {
		fit, why := CheckSize(test.size)
		if fit != test.want || !strings.Contains(why, test.says) {
			t.Errorf("%v: %v, %q", test.size, fit, why)
		}
	}
	if got := (Size{256, 512}).String() + "; " + (Size{2048, 8192}).String(); got != "0.25 vCPU, 512 MiB; 2 vCPU, 8 GiB" {
		t.Errorf("got %q", got)
	}
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	at := func(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0) }
	got := Timeline(Task{CreatedAt: at(0), PullStartedAt: at(4), PullStoppedAt: at(16), StartedAt: at(19)}, at(21))
	want := []Span{{"provisioning", 4 * time.Second}, {"pulling the image", 12 * time.Second}, {"starting", 3 * time.Second}, {"until SSH answered", 2 * time.Second}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	// A manager whose clock is behind, and an ECS that kept no pull times.
	got = Timeline(Task{CreatedAt: at(0), StartedAt: at(19)}, at(10))
	if want := []Span{{"starting", 19 * time.Second}, {"until SSH answered", 0}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	if got := Timeline(Task{}, at(1)); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}
