package sshexec_test

import (
	"os"
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
)

func TestMain(m *testing.M) { os.Exit(agenttest.Main(m)) }
