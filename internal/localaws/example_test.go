package localaws_test

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// A test starts a stand-in of its own, orders what shall go wrong, lets the
// code under test talk to it and looks at what has become of it.
func Example() {
	s, err := localaws.Start(localaws.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer s.Close()
	s.AddCluster("ci", "FARGATE")
	s.AddTaskDefinition("job", "ci-coordinator", "sh", "-c", "exit 3")
	s.Fault(localaws.Fault{Kind: localaws.CapacityUnavailable, Match: localaws.SubnetA})

	client := ecs.NewFromConfig(aws.Config{
		Region: localaws.Region, BaseEndpoint: aws.String(s.URL()), Credentials: credentials.NewStaticCredentialsProvider("any", "any", ""),
	})
	for _, subnet := range []string{localaws.SubnetA, localaws.SubnetB} {
		out, err := client.RunTask(context.Background(), &ecs.RunTaskInput{
			Cluster: aws.String("ci"), TaskDefinition: aws.String("job"),
			NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{subnet}}},
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		for _, f := range out.Failures {
			fmt.Println(*f.Reason)
		}
	}
	s.WaitIdle(context.Background())
	for _, t := range s.Tasks() {
		fmt.Println(t.Status, t.StoppedReason)
	}
	fmt.Println(len(s.Calls("RunTask")), "calls of RunTask")
	// Output:
	// Capacity is unavailable at this time. Please try again later or in a different availability zone
	// STOPPED Essential container in task exited
	// 2 calls of RunTask
}
