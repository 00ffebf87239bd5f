package rehearsal

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

// quote writes any text as one word for bash and busybox sh, by ANSI-C quoting.
func quote(s string) string {
	var b strings.Builder
	b.WriteString("$'")
	for _, c := range []byte(s) {
		switch {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + "'"
}

// script wraps the lines of a sub-stage as gitlab-runner does: on SIGTERM it
// exits with 1, the first failure ends it, and its standard input is empty.
func (e *executor) script(body string) string {
	const onTerm = "trap 'exit 1' TERM"
	return "#!/usr/bin/env " + e.runner.Shell + "\n\n" +
		onTerm + "\n\n" +
		`case "$(set -o)" in *pipefail*) set -o pipefail;; esac; set -o errexit` + "\n" +
		"set +o noclobber\n" +
		"(" + onTerm + "; eval " + quote(body) + ") < /dev/null\n" +
		"exit 0\n"
}

// tmpDir is where the values of file variables are.
func (e *executor) tmpDir() string { return e.projectDir() + ".tmp" }

// exports is how every script begins.
func (e *executor) exports() string {
	var b strings.Builder
	for _, v := range e.variables() {
		if !v.File {
			fmt.Fprintf(&b, "export %s=%s\n", v.Key, quote(v.Value))
			continue
		}
		file := path.Join(e.tmpDir(), v.Key)
		fmt.Fprintf(&b, "mkdir -p %s\n", quote(e.tmpDir()))
		fmt.Fprintf(&b, "printf '%%s' %s > %s\n", quote(v.Value), quote(file))
		fmt.Fprintf(&b, "export %s=%s\n", v.Key, quote(file))
	}
	return b.String()
}

func notice(text string) string {
	return "echo " + quote(joblog.Green+text+joblog.Reset) + "\n"
}

func (e *executor) prepareScript() string {
	host := ""
	if e.job.hostname != "" {
		host = " via " + e.job.hostname
	}
	return e.exports() + `echo "Running on $(hostname)` + strings.Map(harmless, host) + "...\"\n"
}

// harmless leaves out what would mean something to a shell in a hostname.
func harmless(r rune) rune {
	if strings.ContainsRune("\"`$\\\n", r) {
		return -1
	}
	return r
}

// getSources fetches the job's branch and checks its commit out, in a directory
// that may be there already.
func (e *executor) getSources() string {
	j := &e.job
	dir := quote(e.projectDir())
	before := e.exports() + echoed(j.PreGetSources)
	if j.Repository == "" {
		return before + "mkdir -p " + dir + "\n" + notice("Skipping Git repository setup")
	}
	depth := ""
	if d := j.variable("GIT_DEPTH"); d != "" && d != "0" {
		depth = "--depth " + quote(d) + " "
	}
	return before +
		notice("Fetching changes...") +
		"rm -f " + dir + "/.git/index.lock\n" +
		"git init --quiet " + dir + "\n" +
		"cd " + dir + "\n" +
		"git config remote.origin.url " + quote(j.Repository) + "\n" +
		"git fetch --quiet --prune --force " + depth + "origin " + quote("+refs/heads/"+j.Ref+":refs/remotes/origin/"+j.Ref) + "\n" +
		notice(fmt.Sprintf("Checking out %.8s as detached HEAD (ref is %s)...", j.Commit, j.Ref)) +
		"git checkout --quiet --force --detach " + quote(j.Commit) + "\n" +
		"git clean -ffdx\n"
}

func (e *executor) clearWorktree() string {
	dir := quote(e.projectDir())
	return e.exports() + "if [ -d " + dir + "/.git ]; then cd " + dir + " && git rm -rf --quiet --ignore-unmatch . ; fi\n"
}

// userScript is the job's own script, or a part of it.
func (e *executor) userScript(lines []string) string {
	return e.exports() + "cd " + quote(e.projectDir()) + "\n" + echoed(lines)
}

// echoed has each command printed before it runs, as a job log has it.
func echoed(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		first, _, several := strings.Cut(strings.TrimRight(line, "\n"), "\n")
		if several {
			first += " # collapsed multi-line command"
		}
		b.WriteString(notice("$ " + first))
		b.WriteString(line + "\n")
	}
	return b.String()
}

// packArtifacts packs the artifacts' paths into the directory for them, or
// only says what it would pack. There is no GitLab to send them to.
func (e *executor) packArtifacts() string {
	var paths []string
	for _, p := range e.job.Artifacts.Paths {
		paths = append(paths, glob(p))
	}
	list := strings.Join(paths, " ")
	s := e.exports() + "cd " + quote(e.projectDir()) + "\n" +
		"found=; for f in " + list + `; do if [ -e "$f" ]; then found=1; echo "$f: found"; else echo "WARNING: $f: no matching files"; fi; done` + "\n" +
		`if [ -z "$found" ]; then echo "ERROR: No files to upload"; exit 0; fi` + "\n"
	if e.runner.ArtifactsDir == "" {
		return s + "tar -cf - " + list + " | wc -c | { read -r n; echo \"$n bytes of artifacts; there is no GitLab to send them to\"; }\n"
	}
	archive := quote(e.archive())
	return s + "tar -czf " + archive + " " + list + "\n" + notice("Artifacts are in "+e.archive())
}

func (e *executor) archive() string {
	return filepath.Join(e.runner.ArtifactsDir, fmt.Sprintf("job-%d-artifacts.tar.gz", e.job.ID))
}

// artifacts returns the archive if one was packed, else "".
func (e *executor) artifacts() string {
	if e.runner.ArtifactsDir == "" {
		return ""
	}
	if _, err := os.Stat(e.archive()); err != nil {
		return ""
	}
	return e.archive()
}

// glob quotes a path but for the characters that a shell matches files by.
func glob(p string) string {
	var b strings.Builder
	for part := range strings.SplitAfterSeq(p, "*") {
		literal, star := strings.CutSuffix(part, "*")
		if literal != "" {
			b.WriteString(quote(literal))
		}
		if star {
			b.WriteByte('*')
		}
	}
	return b.String()
}

func (e *executor) cleanupFileVariables() string {
	return "rm -rf " + quote(e.tmpDir()) + "\n"
}
