package archive

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A reader keeps directories open from file to file. Whatever the order, it
// reads the file that was asked for, and keeps few open.
func TestReaderFindsItsWay(t *testing.T) {
	t.Parallel()
	files := tree{"f": "f"}
	deep := ""
	for i := range 3 * maxOpen {
		deep += [...]string{"a", "ab", "a-b"}[i%3] + "/"
		for _, name := range []string{"f", "ab-/f", "b/f"} {
			files[deep+name] = deep + name
		}
	}
	root := files.lay(t)
	var entries []Entry
	for name, content := range files {
		entries = append(entries, Entry{Name: name, source: name, Size: int64(len(content))})
	}
	r := newReader(root)
	defer r.close()
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		e := &entries[random.IntN(len(entries))]
		if random.IntN(20) == 0 {
			if _, err := r.directory(filepath.Dir(e.source) + "/none/x"); !os.IsNotExist(err) {
				t.Fatalf("got %v for a directory that is not there", err)
			}
		}
		got, err := r.whole(e)
		if err != nil || string(got) != files[e.Name] {
			t.Fatalf("%s: got %q, %v", e.Name, got, err)
		}
		if len(r.open) > maxOpen {
			t.Fatalf("%d directories are open", len(r.open))
		}
	}
	children, err := r.list(strings.TrimSuffix(deep, "/"))
	if err != nil || len(children) != 3 {
		t.Errorf("got %v, %v; want f, ab- and b", children, err)
	}
	r.close()
	if _, err := r.whole(&entries[0]); err != nil {
		t.Errorf("after it was closed: %v", err)
	}
}

func TestReaderStaysBelowItsRoot(t *testing.T) {
	t.Parallel()
	root := tree{"d/f": "in", "link": "-> d", "file": "-> d/f", "up": "-> /"}.lay(t)
	r := newReader(root)
	defer r.close()
	for _, name := range []string{"link/f", "file", "up/etc/passwd"} {
		if got, err := r.whole(&Entry{Name: name, source: name, Size: 2}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q changed", name)) {
			t.Errorf("%s: got %q, %v; want it refused", name, got, err)
		}
	}
}
