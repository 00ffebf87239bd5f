package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	cw "github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/render"
	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
)

// diskPercent is how full a disk may be. GitLab stops taking pushes when its
// disk is full, and growing it takes minutes.
const diskPercent = 85

// alarm is one thing that somebody should know about.
type alarm struct {
	id, namespace, metric, statistic, what string
	dimensions                             [][2]string
	minutes, periods                       int
	threshold                              float64
	below                                  bool // alarm when the figure is below the threshold, else when above
	missingIsBad                           bool
}

func (p part) alarm(a alarm, n *Network) {
	operator, missing := "GreaterThanThreshold", "notBreaching"
	if a.below {
		operator = "LessThanThreshold"
	}
	if a.missingIsBad {
		missing = "breaching"
	}
	dimensions := []any{}
	for _, d := range a.dimensions {
		dimensions = append(dimensions, &cw.CfnAlarm_DimensionProperty{Name: jsii.String(d[0]), Value: jsii.String(d[1])})
	}
	cw.NewCfnAlarm(p.stack, jsii.String("Alarm-"+a.id), &cw.CfnAlarmProps{
		AlarmName: jsii.String(p.name(lower(a.id))), AlarmDescription: &a.what,
		Namespace: &a.namespace, MetricName: &a.metric, Statistic: &a.statistic, Dimensions: &dimensions,
		Period: jsii.Number(a.minutes * 60), EvaluationPeriods: jsii.Number(a.periods), Threshold: &a.threshold,
		ComparisonOperator: &operator, TreatMissingData: &missing,
		AlarmActions: anys(*n.Topic.TopicArn()), OkActions: anys(*n.Topic.TopicArn()),
	})
}

// addEntryAlarms watches GitLab itself.
func (g *GitLab) addEntryAlarms() {
	g.alarm(alarm{
		id: "GitLab-Unhealthy", namespace: "AWS/ApplicationELB", metric: "HealthyHostCount", statistic: "Maximum",
		what:       "GitLab has not been ready for ten minutes",
		dimensions: [][2]string{{"LoadBalancer", *g.entry.web.LoadBalancerFullName()}, {"TargetGroup", *g.entry.targets.TargetGroupFullName()}},
		minutes:    1, periods: 10, threshold: 1, below: true, missingIsBad: true,
	}, g.network)
	if g.s.GitLab.Compute == "ec2" {
		g.alarm(alarm{
			id: "GitLab-Disk", namespace: g.s.Name + "/gitlab", metric: "disk_used_percent", statistic: "Maximum",
			what:       "GitLab's disk is nearly full: raise gitlab.disk_gib",
			dimensions: [][2]string{{render.GroupDimension, g.name("gitlab")}, {"path", "/srv/gitlab"}},
			minutes:    5, periods: 3, threshold: diskPercent, missingIsBad: true,
		}, g.network)
	}
}

// alarmOnMissingBackup notices a backup that failed, and also one that never
// started.
func (g *GitLab) alarmOnMissingBackup(vault string) {
	g.alarm(alarm{
		id: "GitLab-Backup", namespace: "AWS/Backup", metric: "NumberOfBackupJobsCompleted", statistic: "Sum",
		what:       "no backup of GitLab's disk was completed for a day",
		dimensions: [][2]string{{"BackupVaultName", vault}},
		minutes:    24 * 60, periods: 1, threshold: 1, below: true, missingIsBad: true,
	}, g.network)
}

// addAlarms watches the manager and the launches of jobs.
func (r *Runners) addAlarms(n *Network) {
	if r.s.Runners.ScheduleOn == "" {
		r.alarm(alarm{
			id: "Manager-Down", namespace: "AWS/AutoScaling", metric: "GroupInServiceInstances", statistic: "Minimum",
			what: "there has been no manager for ten minutes: no job runs", dimensions: [][2]string{{"AutoScalingGroupName", r.name("manager")}},
			minutes: 1, periods: 10, threshold: 1, below: true, missingIsBad: true,
		}, n)
	}
	r.alarm(alarm{
		id: "Manager-Disk", namespace: r.s.Name + "/manager", metric: "disk_used_percent", statistic: "Maximum",
		what: "the manager's disk is nearly full", dimensions: [][2]string{{render.GroupDimension, r.name("manager")}, {"path", "/"}},
		minutes: 5, periods: 3, threshold: diskPercent,
	}, n)
	// ECS tells of tasks that never started as events, not as a metric; the
	// rule counts them by matching.
	rule := r.name("launch-failures")
	awsevents.NewCfnRule(r.stack, jsii.String("LaunchFailures"), &awsevents.CfnRuleProps{
		Name: &rule, Description: jsii.String("counts tasks of jobs that failed to start"), State: jsii.String("ENABLED"),
		EventPattern: map[string]any{
			"source": []string{"aws.ecs"}, "detail-type": []string{"ECS Task State Change"},
			"detail": map[string]any{"clusterArn": []string{r.place.ARN("ecs", "cluster/"+r.scope.Cluster)}, "stopCode": []string{"TaskFailedToStart"}},
		},
		Targets: &[]any{&awsevents.CfnRule_TargetProperty{Id: jsii.String("log"), Arn: jsii.String(r.launchLogARN())}},
	})
	r.addLaunchLog(n)
	r.alarm(alarm{
		id: "Launch-Failures", namespace: "AWS/Events", metric: "MatchedEvents", statistic: "Sum",
		what: "tasks of jobs fail to start: see the log group " + r.launchLogName(), dimensions: [][2]string{{"RuleName", rule}},
		minutes: 15, periods: 1, threshold: 5,
	}, n)
}

// launchLogName begins as EventBridge wants it of a log group.
func (r *Runners) launchLogName() string { return "/aws/events/" + r.name("launch-failures") }

func (r *Runners) launchLogARN() string { return r.place.ARN("logs", "log-group:"+r.launchLogName()) }

// addLaunchLog keeps those events, to look at the reasons.
func (r *Runners) addLaunchLog(n *Network) {
	props := r.logGroupProps(r.launchLogName(), n.Key)
	awslogs.NewCfnLogGroup(r.stack, jsii.String("LaunchLog"), props).ApplyRemovalPolicy(r.keep(), nil)
	policy := mustJSON(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Sid": "Events", "Effect": "Allow", "Principal": map[string]any{"Service": []string{"events.amazonaws.com", "delivery.logs.amazonaws.com"}},
		"Action": []string{"logs:CreateLogStream", "logs:PutLogEvents"}, "Resource": r.launchLogARN() + ":*",
	}}})
	awslogs.NewCfnResourcePolicy(r.stack, jsii.String("LaunchLogPolicy"), &awslogs.CfnResourcePolicyProps{
		PolicyName: jsii.String(r.name("launch-failures")), PolicyDocument: jsii.String(string(policy)),
	})
}

func (b *Builds) addAlarm(n *Network) {
	// One failed build is its author's business; many at once are not.
	b.alarm(alarm{
		id: "Builds-Failing", namespace: "AWS/CodeBuild", metric: "FailedBuilds", statistic: "Sum", what: "ten builds failed within an hour",
		dimensions: [][2]string{{"ProjectName", b.Project}}, minutes: 60, periods: 1, threshold: 9,
	}, n)
}

// addDashboard shows the deployment on one page.
func addDashboard(stack awscdk.Stack, s settings.Settings, all Stacks) {
	var widgets []cw.IWidget
	graph := func(title string, metrics ...cw.IMetric) {
		widgets = append(widgets, cw.NewGraphWidget(&cw.GraphWidgetProps{Title: &title, Left: &metrics, Width: jsii.Number(12), Height: jsii.Number(6)}))
	}
	metric := func(namespace, name, statistic string, dimensions map[string]*string) cw.IMetric {
		return cw.NewMetric(&cw.MetricProps{Namespace: &namespace, MetricName: &name, Statistic: &statistic, DimensionsMap: &dimensions, Period: awscdk.Duration_Minutes(jsii.Number(5))})
	}
	if g := all.GitLab; g != nil {
		balancer := map[string]*string{"LoadBalancer": g.entry.web.LoadBalancerFullName()}
		graph("GitLab: requests", metric("AWS/ApplicationELB", "RequestCount", "Sum", balancer), metric("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "Sum", balancer))
		graph("GitLab: response time", g.entry.web.Metrics().TargetResponseTime(&cw.MetricOptions{Statistic: jsii.String("p95")}))
	}
	manager := map[string]*string{render.GroupDimension: jsii.String(s.Name + "-manager")}
	graph("Manager: memory", metric(s.Name+"/manager", "mem_used_percent", "Maximum", manager))
	graph("Jobs: tasks that failed to start", metric("AWS/Events", "MatchedEvents", "Sum", map[string]*string{"RuleName": jsii.String(s.Name + "-launch-failures")}))
	if all.Builds != nil {
		project := map[string]*string{"ProjectName": &all.Builds.Project}
		graph("Builds", metric("AWS/CodeBuild", "Builds", "Sum", project), metric("AWS/CodeBuild", "FailedBuilds", "Sum", project))
	}
	cw.NewDashboard(stack, jsii.String("Dashboard"), &cw.DashboardProps{DashboardName: &s.Name, Widgets: &[]*[]cw.IWidget{&widgets}})
}
