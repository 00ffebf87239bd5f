package follow

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

const (
	// longEvent is from where on an event without a line's end is taken for the
	// first part of a longer line: CloudWatch cuts events at 256 KiB.
	longEvent = 200 << 10
	// longLine bounds the memory for a line that does not end.
	longLine = 4 << 20
	// tailBytes of the log's end are kept to find out why a build has failed.
	tailBytes = 32 << 10
)

// printer shows a build's log: the lines in collapsible sections, a phase
// each, within the budget.
type printer struct {
	out     *bufio.Writer
	log     *joblog.Log // on out
	mode    Mode
	head    int64 // bytes that may still be shown at once; negative: no bound
	budget  int64 // 0: no bound
	held    *ring // what is over the budget, of which the end is shown
	tail    *ring
	partial strings.Builder
	count   int64
	wrote   time.Time // when something was last shown

	section  func(time.Time)
	sections int
	entered  map[string]bool // phases that have had their section
	last     time.Time       // of the last event

	phase    string // that was last seen to end
	phaseEnd bool   // and its closing line too
}

func newPrinter(w io.Writer, say *joblog.Log, o Options) *printer {
	out := bufio.NewWriterSize(w, 64<<10)
	p := &printer{out: out, log: joblog.New(out, true), mode: o.Mode, head: -1, tail: newRing(tailBytes)}
	limit := o.MaxBytes
	if limit > 0 {
		p.budget, p.head = limit, limit*3/4
	}
	if p.mode == Failed {
		p.head = 0
		if limit == 0 {
			limit = 1 << 20
		}
		p.held = newRing(limit)
	} else if limit > 0 {
		p.held = newRing(limit / 4)
	}
	return p
}

// event takes an event of the log: a line, several, or a part of one.
func (p *printer) event(message string, at time.Time) {
	p.last = at
	for message != "" {
		i := strings.IndexByte(message, '\n')
		switch {
		case i >= 0:
			p.piece(message[:i+1], at)
			message = message[i+1:]
		case len(message) >= longEvent && p.partial.Len() < longLine:
			p.partial.WriteString(message)
			return
		default:
			p.piece(message+"\n", at)
			return
		}
	}
}

func (p *printer) piece(text string, at time.Time) {
	if p.partial.Len() > 0 {
		text = p.partial.String() + text
		p.partial.Reset()
	}
	p.line(joblog.Defuse(text), at)
}

// What CodeBuild's agent writes between the build's own lines.
const (
	agentPrefix  = "[Container] "
	entering     = "Entering phase "
	completed    = "Phase complete: "
	contextWords = "Phase context status code:"
)

// line shows a line, which ends with a line's end.
func (p *printer) line(text string, at time.Time) {
	p.count++
	p.tail.add(text)
	if strings.HasPrefix(text, agentPrefix) {
		p.agentLine(text, at)
	}
	if p.head == 0 || (p.head > 0 && p.head < int64(len(text))) {
		p.head = 0
		p.endSection(at)
		p.held.add(shortened(text, p.held.limit/2))
		return
	}
	if p.head > 0 {
		p.head -= int64(len(text))
	}
	p.out.WriteString(text)
}

// hasSection tells whether a phase that is entered gets a section: one of
// CodeBuild's, once. A build that prints such lines itself, over and over, could
// otherwise fill the job's log with our marks, which are in no budget.
func (p *printer) hasSection(name string) bool {
	switch name {
	case "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS", "FINALIZING":
	default:
		return false
	}
	if p.entered[name] {
		return false
	}
	if p.entered == nil {
		p.entered = map[string]bool{}
	}
	p.entered[name] = true
	return true
}

// shortened cuts what would leave no room for what comes after it: one line
// over the runner's own limit would hide the summary.
func shortened(line string, limit int64) string {
	const note = " ... %d bytes of this line are left out here\n"
	if int64(len(line)) <= limit {
		return line
	}
	keep := max(limit-int64(len(note))-8, 0)
	for keep > 0 && !utf8.RuneStart(line[keep]) {
		keep--
	}
	return line[:keep] + fmt.Sprintf(note, int64(len(line))-keep)
}

// agentLine follows the phases. A build can print such lines too: then a
// section is opened too early, and no more.
func (p *printer) agentLine(text string, at time.Time) {
	// [Container] 2024/05/20 12:34:56.789012 Entering phase BUILD
	_, words, _ := strings.Cut(strings.TrimPrefix(text, agentPrefix), " ")
	_, words, _ = strings.Cut(words, " ")
	words = strings.TrimRight(words, "\r\n")
	switch {
	case strings.HasPrefix(words, entering):
		name := strings.TrimPrefix(words, entering)
		p.phaseEnd = false
		if p.head != 0 && p.hasSection(name) {
			p.endSection(at)
			p.sections++
			p.section = p.log.SectionAt(fmt.Sprintf("codebuild_%d_%s", p.sections, strings.ToLower(name)), "CodeBuild "+name, name != "BUILD", at)
		}
	case strings.HasPrefix(words, completed):
		p.phase, _, _ = strings.Cut(strings.TrimPrefix(words, completed), " ")
		p.phaseEnd = false
	case strings.HasPrefix(words, contextWords):
		p.phaseEnd = true
	}
}

func (p *printer) endSection(at time.Time) {
	if p.section != nil {
		p.section(at)
		p.section = nil
	}
}

// sawEnd tells whether the log has come to where the build must be ending.
func (p *printer) sawEnd() bool {
	return p.phaseEnd && (p.phase == "POST_BUILD" || p.phase == "UPLOAD_ARTIFACTS")
}

// sureness is how sure it is that a log is complete.
type sureness int

const (
	unknown sureness = iota
	likely           // the last phase with commands was seen to end
	certain          // the last line that CodeBuild writes was seen
)

// lastPhase compares what was seen with the phases that the build went through.
func (p *printer) lastPhase(b build.Build) sureness {
	if !p.phaseEnd {
		return unknown
	}
	if p.phase == "UPLOAD_ARTIFACTS" {
		return certain
	}
	last := ""
	for _, phase := range b.Phases {
		switch phase.Name {
		case "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD":
			last = phase.Name
		}
	}
	if p.phase == last {
		return likely
	}
	return unknown
}

func (p *printer) flush() {
	if p.out.Buffered() > 0 {
		p.wrote = time.Now()
	}
	p.out.Flush()
}

// interject has a line of ours written between the log's lines.
func (p *printer) interject(write func()) {
	p.flush()
	write()
}

// finish closes what is open and shows the end of what was held back.
func (p *printer) finish(failed bool, url string) {
	if p.partial.Len() > 0 {
		p.piece("\n", p.last)
	}
	p.endSection(later(p.last, time.Time{}))
	if p.held != nil && p.held.added > 0 && (p.mode != Failed || failed) {
		if left := p.held.dropped; left > 0 {
			where := ""
			if url != "" {
				where = "; all of it: " + url
			}
			p.log.Info("... %d lines are left out here, the job's log must not grow over its limit%s", left, where)
		}
		for _, line := range p.held.lines() {
			p.out.WriteString(line)
			p.out.WriteByte('\n')
		}
		p.held = newRing(p.held.limit)
	}
	p.flush()
	p.phaseEnd, p.phase, p.entered = false, "", nil
}

// ring keeps the last lines, so many bytes of them.
type ring struct {
	limit   int64
	size    int64
	text    []string
	first   int
	added   int64
	dropped int64
}

func newRing(limit int64) *ring { return &ring{limit: limit} }

func (r *ring) add(line string) {
	r.added++
	r.text = append(r.text, line)
	r.size += int64(len(line))
	for r.size > r.limit && r.first < len(r.text)-1 {
		r.size -= int64(len(r.text[r.first]))
		r.text[r.first] = ""
		r.first++
		r.dropped++
	}
	if r.first > 1024 && r.first > len(r.text)/2 {
		r.text = append(make([]string, 0, len(r.text)-r.first+1024), r.text[r.first:]...)
		r.first = 0
	}
}

// lines returns what is kept, without the lines' ends.
func (r *ring) lines() []string {
	out := make([]string, 0, len(r.text)-r.first)
	for _, line := range r.text[r.first:] {
		out = append(out, strings.TrimRight(line, "\r\n"))
	}
	return out
}
