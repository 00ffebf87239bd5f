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

// refusedLaunch is what the driver logs when ECS refuses a launch. It tries
// again elsewhere: a refusal now and then is Spot's nature.
const refusedLaunch = "launching a task"

// refusedLaunches is how many of them in a quarter of an hour are more than
// that.
const refusedLaunches = 50

// ioPercent is how much of its operations EFS may use. With elastic throughput
// there are no burst credits to run out of; the limit that is left is that of
// operations in a second.
const ioPercent = 90

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
		return
	}
	g.alarm(alarm{
		id: "GitLab-Disk", namespace: "AWS/EFS", metric: "PercentIOLimit", statistic: "Average",
		what:       "GitLab's file system is at its limit of operations, and GitLab slow: move to gitlab.compute = \"ec2\"",
		dimensions: [][2]string{{"FileSystemId", g.fileSystem}},
		minutes:    5, periods: 3, threshold: ioPercent,
	}, g.network)
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
	// The host says each minute whether gitlab-runner runs: an instance in
	// service says nothing about it. A manager that sleeps says nothing.
	r.alarm(alarm{
		id: "Manager-Down", namespace: r.s.Name + "/manager", metric: render.RunnerMetric, statistic: "Maximum",
		what: "no gitlab-runner has run for ten minutes: no job starts; it waits for its token (output SetToken), or the manager is gone", dimensions: [][2]string{{render.GroupDimension, r.name("manager")}},
		minutes: 1, periods: 10, threshold: 1, below: true, missingIsBad: r.s.Runners.ScheduleOn == "",
	}, n)
	r.addRefusedLaunches(n)
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

// addRefusedLaunches counts the calls that ECS refused, as the driver logs
// them: no task came of those, and so no event.
func (r *Runners) addRefusedLaunches(n *Network) {
	const metric = "launches_refused"
	awslogs.NewCfnMetricFilter(r.stack, jsii.String("RefusedLaunches"), &awslogs.CfnMetricFilterProps{
		LogGroupName: jsii.String("/" + r.s.Name + "/manager"), FilterName: jsii.String(r.name("launches-refused")),
		FilterPattern: jsii.String(`{ $.msg = "` + refusedLaunch + `" }`),
		MetricTransformations: &[]any{&awslogs.CfnMetricFilter_MetricTransformationProperty{
			MetricNamespace: jsii.String(r.s.Name + "/manager"), MetricName: jsii.String(metric), MetricValue: jsii.String("1"),
		}},
	}).Node().AddDependency(r.managerLogs)
	r.alarm(alarm{
		id: "Launches-Refused", namespace: r.s.Name + "/manager", metric: metric, statistic: "Sum",
		what:    "ECS refuses to start tasks of jobs (capacity, quota, permission): see the streams fargate-driver of the log group /" + r.s.Name + "/manager",
		minutes: 15, periods: 1, threshold: refusedLaunches,
	}, n)
}

// launchLogName begins as EventBridge wants it of a log group.
func (r *Runners) launchLogName() string { return "/aws/events/" + r.name("launch-failures") }

func (r *Runners) launchLogARN() string { return r.place.ARN("logs", "log-group:"+r.launchLogName()) }

// addLaunchLog keeps those events, to look at the reasons.
func (r *Runners) addLaunchLog(n *Network) {
	props := r.logGroupProps(r.launchLogName(), n.Key)
	awslogs.NewCfnLogGroup(r.stack, jsii.String("LaunchLog"), props).ApplyRemovalPolicy(r.keep(), nil)
	services := map[string]any{"Service": []string{"events.amazonaws.com", "delivery.logs.amazonaws.com"}}
	// EventBridge names its rule only as it writes, not as it opens a stream.
	policy := mustJSON(map[string]any{"Version": "2012-10-17", "Statement": []any{
		map[string]any{"Sid": "Open", "Effect": "Allow", "Principal": services, "Action": "logs:CreateLogStream", "Resource": r.launchLogARN() + ":*"},
		map[string]any{
			"Sid": "Write", "Effect": "Allow", "Principal": services, "Action": "logs:PutLogEvents", "Resource": r.launchLogARN() + ":*",
			"Condition": map[string]any{"ArnEquals": map[string]string{"aws:SourceArn": r.place.ARN("events", "rule/"+r.name("launch-failures"))}},
		},
	}})
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
	if g := all.GitLab; g != nil && g.fileSystem != "" {
		disk := map[string]*string{"FileSystemId": &g.fileSystem}
		graph("GitLab's file system: operations in percent of the limit", metric("AWS/EFS", "PercentIOLimit", "Average", disk))
		graph("GitLab's file system: bytes, as billed", metric("AWS/EFS", "MeteredIOBytes", "Sum", disk))
	} else if g != nil {
		graph("GitLab's disk: percent", metric(s.Name+"/gitlab", "disk_used_percent", "Maximum", map[string]*string{render.GroupDimension: jsii.String(s.Name + "-gitlab"), "path": jsii.String("/srv/gitlab")}))
	}
	manager := map[string]*string{render.GroupDimension: jsii.String(s.Name + "-manager")}
	graph("Manager: gitlab-runner runs", metric(s.Name+"/manager", render.RunnerMetric, "Maximum", manager))
	graph("Manager: memory", metric(s.Name+"/manager", "mem_used_percent", "Maximum", manager))
	graph("Jobs: launches that ECS refused, tasks that failed to start", metric(s.Name+"/manager", "launches_refused", "Sum", map[string]*string{}), metric("AWS/Events", "MatchedEvents", "Sum", map[string]*string{"RuleName": jsii.String(s.Name + "-launch-failures")}))
	if all.Builds != nil {
		project := map[string]*string{"ProjectName": &all.Builds.Project}
		graph("Builds", metric("AWS/CodeBuild", "Builds", "Sum", project), metric("AWS/CodeBuild", "FailedBuilds", "Sum", project))
	}
	cw.NewDashboard(stack, jsii.String("Dashboard"), &cw.DashboardProps{DashboardName: &s.Name, Widgets: &[]*[]cw.IWidget{&widgets}})
}
