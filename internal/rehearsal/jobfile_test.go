package rehearsal

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestReadJobs(t *testing.T) {
	t.Parallel()
	jobs, err := ReadJobs(strings.NewReader(`
stages: [test]
variables:
  COLOUR: red
  KEY: {value: secret, file: true, masked: true}
default:
  image: debian:12
  before_script: [echo before]
.hidden: {script: [never]}
unit:
  stage: build
  variables: {COLOUR: blue}
  hooks: {pre_get_sources_script: echo first}
  services:
    - redis:7
    - {name: postgres:16, alias: db, variables: {A: b}}
  script:
    - echo one
    - |
      echo two
      echo three
    - [echo four, echo five]
  after_script: echo after
  artifacts: {paths: [out], when: always}
  allow_failure: {exit_codes: 42}
  timeout: 1h 30m
  rehearse: {at: working, do: cancel, status: canceled}
other:
  image: {name: alpine, entrypoint: [""]}
  before_script: []
  script: "true"
  allow_failure: true
  timeout: 10 minutes
`))
	if err != nil {
		t.Fatal(err)
	}
	common := []Variable{{Key: "COLOUR", Value: "red"}, {Key: "KEY", Value: "secret", File: true, Masked: true}}
	want := []Job{
		{
			ID: 1, Name: "unit", Stage: "build", Timeout: 90 * time.Minute, Image: &Image{Name: "debian:12"},
			Services:      []Service{{Name: "redis:7"}, {Name: "postgres:16", Alias: "db", Variables: map[string]string{"A": "b"}}},
			Variables:     append(common[:2:2], Variable{Key: "COLOUR", Value: "blue"}),
			PreGetSources: []string{"echo first"},
			BeforeScript:  []string{"echo before"}, Script: []string{"echo one", "echo two\necho three\n", "echo four", "echo five"},
			AfterScript: []string{"echo after"}, Artifacts: Artifacts{[]string{"out"}, "always"},
			AllowFailure: AllowFailure{ExitCodes: []int{42}}, Rehearse: Rehearse{At: "working", Do: "cancel", Status: Canceled},
		},
		{
			ID: 2, Name: "other", Timeout: 10 * time.Minute, Image: &Image{"alpine", []string{""}}, Variables: common,
			Script: []string{"true"}, AllowFailure: AllowFailure{All: true}, Rehearse: Rehearse{Status: Success},
		},
	}
	for i := range want {
		if !reflect.DeepEqual(jobs[i], want[i]) {
			t.Errorf("got  %+v\nwant %+v", jobs[i], want[i])
		}
	}
}

func TestMistakesInAJobFile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                   "EOF",
		"- a":                                "it has no jobs",
		"a: {stage: x}":                      `job "a", line 1: it has no script`,
		"a: {script: [x], parallel: 3}":      "field parallel not found",
		"a: {script: {x: y}}":                "a script is a list of commands",
		"a: {script: [x], timeout: soon}":    `timeout "soon" is no time; write it as 90s or 1h 30m`,
		"a: {script: [x], variables: [y]}":   "variables are names with values",
		"a: {script: [x]}\na: {script: [y]}": `line 2: job "a" is there twice`,
		"default: {scriptt: [x]}":            "field scriptt not found",
	} {
		_, err := ReadJobs(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
