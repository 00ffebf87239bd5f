package config

import (
	"reflect"
	"testing"
	"time"
)

// TestRenderRoundTrip renders a configuration in which every key differs from
// its default, so that a field that Render or Parse forgets is seen.
func TestRenderRoundTrip(t *testing.T) {
	t.Parallel()
	want := Default()
	for _, k := range Keys() {
		different(t, k, field(&want, k))
	}
	want.LogLevel, want.LogFormat, want.Jobs.Shell = "debug", "json", "sh"
	want.Fargate.Subnet = Strings{"subnet-1", "subnet-2"}
	want.Fargate.SecurityGroup = Strings{"sg-1"}
	want.TaskMetadata.Directory, want.Jobs.BuildsDir, want.Jobs.CacheDir = "/var/lib/x", "/b", "/c"
	want.Launch.CPU, want.Launch.Memory, want.Launch.EphemeralStorage = 1024, 4096, 50
	want.Launch.TaskRole = "arn:aws:iam::123456789012:role/x"
	want.Launch.Tags = map[string]string{"b": "quote \" backslash \\", "a": "tab\tand\nline\x01", "日本": "語"}
	want.Images.AgentPath = "/opt/coordinator"
	want.Jobs.MaxEphemeralStorage = 100
	want.Jobs.TaskRoles = Strings{"arn:aws:iam::123456789012:role/ci-*", "arn:aws:iam::123456789012:role/b"}
	want.Agent.SpoolLimit = 1 << 20
	want.Reap.Manager = "ci-manager"

	text := Render(want)
	got, warnings, err := Parse("rendered", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v\n%s", got, want, text)
	}
	if again := Render(got); again != text {
		t.Errorf("rendered twice, it differs:\n%s\n%s", text, again)
	}
}

func TestRenderDefaultsAreNothing(t *testing.T) {
	t.Parallel()
	if got := Render(Default()); got != "" {
		t.Errorf("got %q", got)
	}
}

// different sets a field to something that is not its default.
func different(t *testing.T, k Key, v reflect.Value) {
	switch v.Interface().(type) {
	case string:
		v.SetString("x-" + k.Name)
	case bool:
		v.SetBool(!v.Bool())
	case Propagation:
		v.SetBool(!v.Bool())
	case int:
		v.SetInt(v.Int() + 3)
	case Strings:
		v.Set(reflect.ValueOf(Strings{"one", "two"}))
	case Duration:
		v.Set(reflect.ValueOf(Duration{v.Interface().(Duration).Duration + 61*time.Second}))
	case map[string]string:
		v.Set(reflect.ValueOf(map[string]string{"k": "v"}))
	default:
		t.Fatalf("%s: no other value known for %s", k, v.Type())
	}
}
