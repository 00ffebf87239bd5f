package credentials

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// role serves a task role's credentials, which expire at once, so that each
// use asks again.
func role(t *testing.T, token string) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != token {
			http.Error(w, "wrong token "+got, http.StatusForbidden)
			return
		}
		n := asked.Add(1)
		fmt.Fprintf(w, `{"AccessKeyId":"ROLE%d","SecretAccessKey":"s","Token":"t","Expiration":%q}`, n, time.Now().Add(time.Minute).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(server.Close)
	return server.URL + "/v2/credentials/x", asked
}

// session is the environment of an SSH session, and of the container around it.
func session(t *testing.T, inner map[string]string, outer ...string) Options {
	t.Helper()
	file := filepath.Join(t.TempDir(), "environ")
	if err := os.WriteFile(file, []byte(strings.Join(outer, "\x00")+"\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{
		Program: "test", Version: "1", InitEnviron: file,
		Getenv: func(name string) string { return inner[name] },
	}
}

func key(t *testing.T, cfg aws.Config) string {
	t.Helper()
	c, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c.AccessKeyID
}

func TestTaskRoleInsideASessionWithoutItsEnvironment(t *testing.T) {
	t.Parallel()
	url, asked := role(t, "")
	cfg, err := Load(t.Context(), session(t, nil, "PATH=/bin", "AWS_CONTAINER_CREDENTIALS_FULL_URI="+url, "AWS_REGION=eu-west-3"))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Region != "eu-west-3" {
		t.Errorf("got region %s, want the container's", cfg.Region)
	}
	if got := key(t, cfg); got != "ROLE1" {
		t.Errorf("got %s, want the role's", got)
	}
	// They expire within the window, so that a long build gets new ones.
	if got := key(t, cfg); got != "ROLE2" || asked.Load() != 2 {
		t.Errorf("got %s after %d questions, want new credentials", got, asked.Load())
	}
}

func TestRoleWithATokenFile(t *testing.T) {
	t.Parallel()
	url, _ := role(t, "file-token")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("file-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(t.Context(), session(t, map[string]string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": url, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file, "AWS_REGION": "eu-west-1",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got := key(t, cfg); got != "ROLE1" {
		t.Errorf("got %s", got)
	}
}

func TestWhatTheJobSetsComesFirst(t *testing.T) {
	t.Parallel()
	o := session(t, map[string]string{"AWS_REGION": "us-east-2", "AWS_ACCESS_KEY_ID": "JOB"}, "AWS_REGION=eu-west-3", "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:1/")
	cfg, err := Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Region != "us-east-2" {
		t.Errorf("got region %s, want the job's", cfg.Region)
	}
	o.Region = "us-west-1"
	if cfg, err = Load(t.Context(), o); err != nil || cfg.Region != "us-west-1" {
		t.Errorf("got region %s %v, want the flag's", cfg.Region, err)
	}
}

func TestUnreadableEnvironmentIsNone(t *testing.T) {
	t.Parallel()
	o := session(t, map[string]string{"AWS_REGION": "us-east-2"})
	o.InitEnviron = filepath.Join(t.TempDir(), "none")
	if cfg, err := Load(t.Context(), o); err != nil || cfg.Region != "us-east-2" {
		t.Errorf("got %s %v", cfg.Region, err)
	}
}

// stsServer answers AssumeRole and AssumeRoleWithWebIdentity.
func stsServer(t *testing.T) (url string, forms chan string) {
	t.Helper()
	forms = make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		forms <- r.Form.Get("Action") + " " + r.Form.Get("RoleArn") + " " + r.Form.Get("RoleSessionName") + " " + r.Form.Get("WebIdentityToken")
		action := r.Form.Get("Action")
		fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials><AccessKeyId>ASSUMED</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>%[2]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`,
			action, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(server.Close)
	return server.URL, forms
}

func TestWebIdentity(t *testing.T) {
	url, forms := stsServer(t)
	t.Setenv("AWS_ENDPOINT_URL", url) // the SDK itself reads it, so this test is not parallel
	o := session(t, map[string]string{"AWS_REGION": "eu-west-1", "GITLAB_OIDC": "the.id.token"})
	o.WebIdentityTokenEnv, o.RoleARN, o.SessionName = "GITLAB_OIDC", "arn:aws:iam::1:role/x", "gitlab-7-42/ß"
	cfg, err := Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := key(t, cfg); got != "ASSUMED" {
		t.Errorf("got %s", got)
	}
	if got, want := <-forms, "AssumeRoleWithWebIdentity arn:aws:iam::1:role/x gitlab-7-42-- the.id.token"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRoleOverTheTaskRole(t *testing.T) {
	url, forms := stsServer(t)
	t.Setenv("AWS_ENDPOINT_URL", url)
	task, asked := role(t, "")
	o := session(t, nil, "AWS_CONTAINER_CREDENTIALS_FULL_URI="+task, "AWS_REGION=eu-west-1")
	o.RoleARN = "arn:aws:iam::2:role/deploy"
	cfg, err := Load(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := key(t, cfg); got != "ASSUMED" || asked.Load() == 0 {
		t.Errorf("got %s, the task role asked %d times", got, asked.Load())
	}
	if got, want := <-forms, "AssumeRole arn:aws:iam::2:role/deploy codebuild-bridge "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	o := session(t, map[string]string{"AWS_REGION": "eu-west-1"})
	o.WebIdentityTokenEnv = "GITLAB_OIDC"
	if _, err := Load(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--role-arn") {
		t.Errorf("got %v, want --role-arn asked for", err)
	}
	o.RoleARN = "arn:aws:iam::1:role/x"
	if _, err := Load(t.Context(), o); err == nil || !strings.Contains(err.Error(), "id_tokens:") {
		t.Errorf("got %v, want to be told of id_tokens:", err)
	}
}
