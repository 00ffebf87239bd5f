package archive

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxOpen bounds the directories that a reader keeps open. What is deeper, as
// little is, takes an opening more.
const maxOpen = 16

// reader reads what is below a directory, and nothing else: each part of a
// path is opened in the directory above it, and no link is followed, so that
// it does not matter what somebody puts in the place of a directory or a file
// meanwhile. It makes few system calls, which are what small files cost. It is
// for one goroutine.
type reader struct {
	root string
	dir  string    // the path of the last of open, relative to root
	open []openDir // from root to dir
	buf  []byte    // of what whole returns
}

// openDir is an open directory, whose path is reader.dir[:end].
type openDir struct{ end, fd int }

func newReader(root string) *reader { return &reader{root: root} }

func (r *reader) close() { r.keep(0) }

// keep closes all but the first n directories.
func (r *reader) keep(n int) {
	for _, d := range r.open[n:] {
		unix.Close(d.fd)
	}
	r.open = r.open[:n]
}

// directory returns the descriptor of a directory, which stays the reader's
// and is good until the next call. The path of the root is empty.
func (r *reader) directory(dir string) (int, error) {
	if len(r.open) == 0 {
		fd, err := openAt(unix.AT_FDCWD, r.root, unix.O_DIRECTORY)
		if err != nil {
			return 0, &fs.PathError{Op: "open", Path: r.root, Err: err}
		}
		r.dir, r.open = "", append(r.open, openDir{0, fd})
	}
	if dir != r.dir {
		if err := r.change(dir); err != nil {
			return 0, err
		}
	}
	return r.open[len(r.open)-1].fd, nil
}

// change makes dir the last open directory.
func (r *reader) change(dir string) error {
	common := 1
	for common < len(r.open) && within(dir, r.dir[:r.open[common].end]) {
		common++
	}
	r.keep(common)
	for {
		last := r.open[len(r.open)-1]
		if r.dir = dir[:last.end]; r.dir == dir {
			return nil
		}
		rest := strings.TrimPrefix(dir[last.end:], "/")
		part, _, _ := strings.Cut(rest, "/")
		end := len(dir) - len(rest) + len(part)
		fd, err := openAt(last.fd, part, unix.O_DIRECTORY|unix.O_NOFOLLOW)
		if err != nil {
			return r.pathError("open", dir[:end], err)
		}
		if len(r.open) == maxOpen {
			r.keep(maxOpen - 1)
		}
		r.open = append(r.open, openDir{end, fd})
	}
}

// list returns what is in a directory, in no order.
func (r *reader) list(dir string) ([]fs.DirEntry, error) {
	parent, err := r.directory(dir)
	if err != nil {
		return nil, err
	}
	// A descriptor of its own, because reading moves it.
	fd, err := openAt(parent, ".", unix.O_DIRECTORY)
	if err != nil {
		return nil, r.pathError("open", dir, err)
	}
	f := os.NewFile(uintptr(fd), filepath.Join(r.root, dir))
	defer f.Close()
	return f.ReadDir(-1)
}

// stat returns the attributes of a file, or of a link itself.
func (r *reader) stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	dir, base := split(name)
	fd, err := r.directory(dir)
	if err != nil {
		return st, err
	}
	_, err = retry(func() (int, error) { return 0, unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, r.pathError("lstat", name, err)
}

// readlink returns where a link leads.
func (r *reader) readlink(name string) (string, error) {
	dir, base := split(name)
	fd, err := r.directory(dir)
	if err != nil {
		return "", err
	}
	buf := make([]byte, 4096) // the longest path there is
	n, err := retry(func() (int, error) { return unix.Readlinkat(fd, base, buf) })
	return string(buf[:max(n, 0)]), r.pathError("readlink", name, err)
}

// regular opens the file of an entry, if that is still a file of its size. A
// pipe in its place would make an open wait for a writer, but for O_NONBLOCK.
func (r *reader) regular(e *Entry) (fd int, err error) {
	dir, base := split(e.source)
	parent, err := r.directory(dir)
	if err == nil {
		fd, err = openAt(parent, base, unix.O_NOFOLLOW|unix.O_NONBLOCK)
		err = r.pathError("open", e.source, err)
	}
	if isOther(err) {
		return 0, e.changed()
	}
	if err != nil {
		return 0, err
	}
	var st unix.Stat_t
	if _, err = retry(func() (int, error) { return 0, unix.Fstat(fd, &st) }); err != nil {
		err = r.pathError("stat", e.source, err)
	} else if fileType(&st) != 0 || st.Size != e.Size {
		err = e.changed()
	}
	if err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// file opens the file of an entry.
func (r *reader) file(e *Entry) (*os.File, error) {
	fd, err := r.regular(e)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(r.root, e.source)), nil
}

// whole reads the file of an entry. What it returns is good until the next
// call.
func (r *reader) whole(e *Entry) ([]byte, error) {
	fd, err := r.regular(e)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	// One more than its size: that it has grown shows without another call.
	buf := r.buffer(int(e.Size) + 1)
	got := 0
	for got < int(e.Size) {
		n, err := retry(func() (int, error) { return unix.Read(fd, buf[got:]) })
		if err != nil {
			return nil, r.pathError("read", e.source, err)
		}
		if n == 0 {
			break
		}
		got += n
	}
	if got != int(e.Size) {
		return nil, e.changed()
	}
	return buf[:got], nil
}

// buffer returns a buffer of a size, the same one while it is large enough.
func (r *reader) buffer(size int) []byte {
	if cap(r.buf) < size {
		r.buf = make([]byte, max(size, 64<<10))
	}
	return r.buf[:size]
}

func (r *reader) pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: filepath.Join(r.root, name), Err: err}
}

// isOther tells whether an opening failed because there is something of
// another type: a link, a file where a directory was, or a socket.
func isOther(err error) bool {
	return errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENXIO)
}

// fileType returns the type as fs.FileMode has it; of what is neither a file,
// a directory nor a link, fs.ModeIrregular.
func fileType(st *unix.Stat_t) fs.FileMode {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFDIR:
		return fs.ModeDir
	case unix.S_IFLNK:
		return fs.ModeSymlink
	}
	return fs.ModeIrregular
}

func openAt(dir int, name string, flags int) (int, error) {
	return retry(func() (int, error) { return unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0) })
}

// retry repeats a system call that a signal has interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// split cuts a path into its directory, empty for the root, and the name there.
func split(name string) (dir, base string) {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)], name[i+1:]
}

// within tells whether name is dir or below it.
func within(name, dir string) bool {
	return strings.HasPrefix(name, dir) && (len(name) == len(dir) || name[len(dir)] == '/')
}

// hasMore tells whether a file goes on after what was read.
func hasMore(r io.Reader) bool {
	n, _ := r.Read(make([]byte, 1))
	return n > 0
}
