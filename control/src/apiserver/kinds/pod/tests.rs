use serde_json::{Value, json};

use super::POD;

/// A Pod with this specification, as it stands when its rules are checked.
fn prepared(spec: Value, old: Option<&Value>) -> Value {
    let metadata = json!({"name": "web", "namespace": "default",
        "generation": old.map(|old| old["metadata"]["generation"].clone())});
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    let mut object = (POD.decode)(object).unwrap().object;
    (POD.default)(&mut object);
    (POD.prepare)(&mut object, old);
    object
}

fn shown(errors: &[crate::apiserver::resource::FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_left_out_is_filled_in() {
    let pod = prepared(
        json!({
            "containers": [{"name": "a", "image": "web:1.2",
                "ports": [{"containerPort": 80}],
                "readinessProbe": {"httpGet": {"port": 80}},
                "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
                "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}],
            "volumes": [{"name": "tmp"}],
        }),
        None,
    );
    let tolerate = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    assert_eq!(
        pod["spec"],
        json!({
            "containers": [{"name": "a", "image": "web:1.2", "imagePullPolicy": "IfNotPresent",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "readinessProbe": {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                    "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1,
                    "failureThreshold": 3},
                "resources": {"limits": {"cpu": "500m", "memory": "1Gi"},
                    "requests": {"cpu": "500m", "memory": "1Gi"}},
                "env": [{"name": "IP", "valueFrom":
                    {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}],
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File"}],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {},
            "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
            "serviceAccountName": "default", "serviceAccount": "default",
            "priority": 0, "preemptionPolicy": "PreemptLowerPriority",
            "tolerations": [tolerate("node.kubernetes.io/not-ready"),
                tolerate("node.kubernetes.io/unreachable")],
        })
    );
    assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "Guaranteed"}));
    assert_eq!(pod["metadata"]["generation"], 1);
    let mut again = pod.clone();
    (POD.default)(&mut again);
    assert_eq!(again, pod);
}

#[test]
fn images_that_may_change_are_pulled_always() {
    for (image, expected) in [
        ("web", "Always"),
        ("web:latest", "Always"),
        ("web:1", "IfNotPresent"),
        ("registry:5000/web", "Always"),
        ("registry:5000/web:1", "IfNotPresent"),
        ("web@sha256:00", "IfNotPresent"),
    ] {
        let pod = prepared(json!({"containers": [{"name": "a", "image": image}]}), None);
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], expected, "{image}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_the_real_words() {
    let with = |field: &str, value: Value| json!({"containers": [{"name": "a", "image": "i", field: value}]});
    for (spec, expected) in [
        (json!({"containers": [{"name": "a", "image": "i"}]}), ""),
        (json!({"containers": []}), "spec.containers: Required value"),
        (
            json!({"containers": [{}, {"name": "a", "image": "i"}, {"name": "a", "image": "i "}]}),
            "spec.containers[0].name: Required value\n\
             spec.containers[0].image: Required value\n\
             spec.containers[2].name: Duplicate value: \"a\"\n\
             spec.containers[2].image: Invalid value: \"i \": must not have leading or trailing \
             whitespace",
        ),
        (
            with(
                "ports",
                json!([{}, {"containerPort": 70_000}, {"containerPort": 1, "name": "8"}]),
            ),
            "spec.containers[0].ports[0].containerPort: Required value\n\
             spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and \
             65535, inclusive\n\
             spec.containers[0].ports[2].name: Invalid value: \"8\": must contain at least one \
             letter (a-z)",
        ),
        (
            with(
                "ports",
                json!([{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]),
            ),
            "spec.containers[0].ports[1].name: Duplicate value: \"a\"",
        ),
        (
            with("imagePullPolicy", json!("Sometimes")),
            "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported \
             values: \"Always\", \"IfNotPresent\", \"Never\"",
        ),
        (
            with("volumeMounts", json!([{"name": "x", "mountPath": "/x"}])),
            "spec.containers[0].volumeMounts[0].name: Not found: \"x\"",
        ),
        (
            with(
                "env",
                json!([{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}, {"name": "a=b"}]),
            ),
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when \
             `value` is not empty\n\
             spec.containers[0].env[1].name: Invalid value: \"a=b\": a valid environment variable \
             name must consist only of printable ASCII characters other than '='",
        ),
        (
            with("livenessProbe", json!({"successThreshold": 2, "periodSeconds": -1})),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type\n\
             spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater \
             than or equal to 0\n\
             spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            with("readinessProbe", json!({"tcpSocket": {"port": 0}, "httpGet": {"port": "Web"}})),
            "spec.containers[0].readinessProbe.httpGet.port: Invalid value: \"Web\": must contain \
             only alpha-numeric characters (a-z, 0-9), and hyphens (-)\n\
             spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 \
             handler type",
        ),
        (
            with("resources", json!({"limits": {"cpu": 1}, "requests": {"cpu": 2, "memory": "x"}})),
            "spec.containers[0].resources.requests[memory]: Invalid value: \"x\": quantities must \
             match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'\n\
             spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or \
             equal to cpu limit of 1",
        ),
        (
            json!({"containers": [{"name": "a", "image": "i"}], "restartPolicy": "Maybe",
                "terminationGracePeriodSeconds": -1, "volumes": [{"name": "v"}, {"name": "v"}]}),
            "spec.volumes[1].name: Duplicate value: \"v\"\n\
             spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \
             \"OnFailure\", \"Never\"\n\
             spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal \
             to 0",
        ),
    ] {
        let found = (POD.validate)(&prepared(spec.clone(), None), None);
        assert_eq!(shown(&found), expected, "{spec}");
    }
}

#[test]
fn little_of_a_pod_may_change() {
    let old = prepared(json!({"containers": [{"name": "a", "image": "i:1"}]}), None);
    let change = |change: fn(&mut Value)| {
        let mut spec = old["spec"].clone();
        change(&mut spec);
        let new = prepared(spec, Some(&old));
        (shown(&(POD.validate)(&new, Some(&old))), new)
    };
    let (errors, new) = change(|_| {});
    assert_eq!((errors.as_str(), &new["metadata"]["generation"]), ("", &json!(1)));
    let (errors, new) = change(|spec| spec["containers"][0]["image"] = json!("i:2"));
    assert_eq!((errors.as_str(), &new["metadata"]["generation"]), ("", &json!(2)));
    let (errors, _) = change(|spec| spec["nodeName"] = json!("node"));
    assert_eq!(errors, "");
    let (errors, _) = change(|spec| spec["containers"][0]["args"] = json!(["x"]));
    let begin = "spec: Forbidden: pod updates may not change fields other than \
                 `spec.containers[*].image`,`spec.initContainers[*].image`,\
                 `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
                 tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it \
                 was previously negative)\n- containers: ";
    assert!(errors.starts_with(begin), "{errors}");
    let (errors, _) = change(|spec| {
        let second = json!({"name": "b", "image": "i"});
        spec["containers"].as_array_mut().unwrap().push(second);
    });
    assert_eq!(errors, "spec.containers: Forbidden: pod updates may not add or remove containers");
    let (errors, _) = change(|spec| spec["tolerations"] = json!([]));
    // What admission adds comes back only to new Pods.
    assert_eq!(
        errors,
        "spec.tolerations: Forbidden: existing toleration can not be modified except its \
         tolerationSeconds"
    );
}

#[test]
fn clients_are_warned() {
    let pod = prepared(
        json!({"containers": [
            {"name": "a", "image": "i", "ports": [{"containerPort": 80}],
                "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "A", "value": "$(A)3"}]},
            {"name": "b", "image": "i", "ports": [{"containerPort": 80}]},
        ]}),
        None,
    );
    assert_eq!(
        (POD.warnings)(&pod, None),
        [
            "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped \
             when using apply",
            "spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]",
        ]
    );
}

#[test]
fn columns_say_what_a_pod_is_doing() {
    let running = json!({"name": "a", "ready": true, "restartCount": 0, "state": {"running": {}}});
    let waiting = |reason: &str| {
        json!({"name": "a", "ready": false, "restartCount": 3, "state": {"waiting": {"reason": reason}},
            "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:04:30Z"}}})
    };
    let ended = |end: Value| json!({"name": "a", "restartCount": 0, "state": {"terminated": end}});
    for (status, deleted, expected) in [
        (json!({"phase": "Pending"}), false, "0/1 Pending 0"),
        (
            json!({"phase": "Running", "containerStatuses": [running], "podIPs": [{"ip": "10.0.0.1"}]}),
            false,
            "1/1 Running 0",
        ),
        (json!({"phase": "Running", "containerStatuses": [running]}), true, "1/1 Terminating 0"),
        (
            json!({"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]}),
            false,
            "0/1 CrashLoopBackOff 3 (60s ago)",
        ),
        (
            json!({"phase": "Pending", "containerStatuses": [waiting("ContainerCreating")]}),
            false,
            "0/1 ContainerCreating 3 (60s ago)",
        ),
        (
            json!({"phase": "Succeeded", "containerStatuses": [ended(json!({"reason": "Completed", "exitCode": 0}))]}),
            true,
            "0/1 Completed 0",
        ),
        (
            json!({"phase": "Failed", "containerStatuses": [ended(json!({"exitCode": 2}))]}),
            false,
            "0/1 ExitCode:2 0",
        ),
        (
            json!({"phase": "Pending", "initContainerStatuses": [
                {"name": "i", "restartCount": 2, "state": {"running": {}}}]}),
            false,
            "0/1 Init:0/1 2",
        ),
        (json!({"phase": "Failed", "reason": "Evicted"}), false, "0/1 Evicted 0"),
    ] {
        let spec = json!({"containers": [{"name": "a", "image": "i"}],
            "initContainers": [{"name": "i", "image": "i"}]});
        let mut pod = prepared(spec, None);
        pod["status"] = status.clone();
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:05:00Z");
        }
        let now = "2026-01-01T00:05:30Z".parse().unwrap();
        let cells = POD.columns[1..4].iter().map(|column| (column.cell)(&pod, now));
        let cells: Vec<_> = cells.map(|cell| cell.as_str().unwrap().to_owned()).collect();
        assert_eq!(cells.join(" "), expected, "{status}");
    }
    let names: Vec<_> = POD.columns.iter().map(|column| column.name).collect();
    let wide = ["IP", "Node", "Nominated Node", "Readiness Gates"];
    assert_eq!(names[..5], ["Name", "Ready", "Status", "Restarts", "Age"]);
    assert_eq!(names[5..], wide);
}
