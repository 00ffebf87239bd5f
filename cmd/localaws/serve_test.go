package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// A stand-in that is killed takes its tasks with it: the first process of each
// dies with it, and our agent's scripts do not outlive the agent for long.
func TestTasksDieWithAKilledServer(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("a process dies with its parent on Linux only")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server := exec.CommandContext(ctx, filepath.Join(build(t), "localaws"), "serve", "--listen", "127.0.0.1:0", "--dir", t.TempDir(), "--delay-pull", "0", "--delay-provisioning", "0", "--delay-activating", "0")
	server.Env = []string{"PATH=" + os.Getenv("PATH")}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	first := bufio.NewScanner(stdout)
	first.Scan()
	_, url, found := strings.Cut(first.Text(), "export AWS_ENDPOINT_URL=")
	if !found {
		t.Fatalf("no endpoint in %q", first.Text())
	}
	client := ecs.NewFromConfig(aws.Config{
		Region: localaws.Region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	})
	// The test reads a pipe whose other end only the task's process holds.
	fifo := filepath.Join(t.TempDir(), "fifo")
	if out, err := exec.Command("mkfifo", fifo).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, err = client.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("holder"), Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String("holder"), Image: aws.String("debian"), EntryPoint: []string{"sh", "-c", `exec > "$0"; echo up; exec sleep 600`, fifo},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.RunTask(ctx, &ecs.RunTaskInput{
		Cluster: aws.String("ci"), TaskDefinition: aws.String("holder"),
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{localaws.SubnetA}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := os.Open(fifo) // returns when the task has opened it too
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	lines := bufio.NewScanner(pipe)
	if !lines.Scan() || lines.Text() != "up" {
		t.Fatalf("the task said %q", lines.Text())
	}
	server.Process.Kill()
	server.Wait()
	ended := make(chan bool, 1)
	go func() { ended <- !lines.Scan() }()
	select {
	case <-ended:
	case <-ctx.Done():
		t.Error("the task still holds its pipe")
	}
}
