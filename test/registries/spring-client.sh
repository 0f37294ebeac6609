#!/usr/bin/env bash
# A Spring Cloud service that registers with Eureka and calls others through Spring's load balancer: what our instances
# must get on with. Made of what eureka.sh fetched: the server's packages hold the client's.
#   spring-client.sh install
#   spring-client.sh start --eureka http://127.0.0.1:P/eureka/ [--port P] [--name N] [--data DIR] [--with-parent] [-- spring options...]
# GET /hello says its name; /instances?name=N lists what it knows of a service; /call?name=N says what that answers to GET /hello.
# Prints: info pid ... then: ready http://127.0.0.1:P
. "$(dirname "$0")/_common.sh"
BOOT="${EUREKA_BOOT_VERSION:-3.5.0}"; CLOUD="${EUREKA_CLOUD_VERSION:-2025.0.0}"
LIB="$REGISTRY_CACHE/eureka-$BOOT-$CLOUD/lib"
DIR="$REGISTRY_CACHE/spring-client-1-$BOOT-$CLOUD"
USAGE="usage: $SELF install | start --eureka URL [--port P] [--name N] [--data DIR] [--with-parent] [-- options]"
do_install() {
  need_jdk 17
  [ -e "$DIR/complete" ] && return
  rm -rf "$DIR"; mkdir -p "$DIR/src/launch" "$DIR/classes"
  cat >"$DIR/src/launch/SpringClient.java" <<'JAVA'
package launch;

import java.util.List;
import java.util.Map;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

@EnableAutoConfiguration
@Configuration
@Import(SpringClient.Api.class)
public class SpringClient {
    public static void main(String[] args) {
        org.springframework.boot.SpringApplication.run(SpringClient.class, args);
    }

    @Bean
    @LoadBalanced
    RestTemplate rest() {
        return new RestTemplate();
    }

    @RestController
    static class Api {
        private final DiscoveryClient discovery;
        private final RestTemplate rest;
        private final String name;

        Api(DiscoveryClient discovery, RestTemplate rest, @Value("${spring.application.name}") String name) {
            this.discovery = discovery;
            this.rest = rest;
            this.name = name;
        }

        @GetMapping("/hello")
        String hello() {
            return name;
        }

        @GetMapping("/call")
        String call(@RequestParam("name") String other) {
            return rest.getForObject("http://" + other + "/hello", String.class);
        }

        @GetMapping("/instances")
        List<Map<String, Object>> instances(@RequestParam("name") String other) {
            return discovery.getInstances(other).stream().<Map<String, Object>>map(each -> Map.of(
                "id", each.getInstanceId(), "uri", each.getUri().toString(), "secure", each.isSecure(),
                "metadata", each.getMetadata())).toList();
        }
    }
}
JAVA
  "$JAVAC" -nowarn -cp "$LIB/*" -d "$DIR/classes" "$DIR/src/launch/SpringClient.java" >"$DIR/javac.log" 2>&1 ||
    { tail -n 15 "$DIR/javac.log" >&2; rm -rf "$DIR"; unavailable "the client's class did not compile against these packages"; }
  touch "$DIR/complete"
}
install() {
  bash "$(dirname "$0")/eureka.sh" install >/dev/null 2>"$REGISTRY_CACHE/spring-client.why" || { code=$?; cat "$REGISTRY_CACHE/spring-client.why" >&2; exit $code; }
  once spring-client do_install
}
case "${1:-}" in
  install) install; exit 0 ;;
  start) shift ;;
  *) usage_error "$USAGE" ;;
esac
port=""; data=""; name=spring; eureka=""; extra=()
while [ $# -gt 0 ]; do
  case "$1" in --port|--data|--name|--eureka) [ $# -ge 2 ] || usage_error "$1 needs a value" ;; esac
  case "$1" in
    --port) port="$2"; shift 2 ;;
    --name) name="$2"; shift 2 ;;
    --eureka) eureka="$2"; shift 2 ;;
    --data) data="$2"; shift 2 ;;
    --with-parent) WATCH_PARENT=1; shift ;;
    --) shift; extra=("$@"); break ;;
    *) usage_error "unknown option $1" ;;
  esac
done
[ -n "$eureka" ] || usage_error "$USAGE"
install
use_data_dir "$data" spring-client
want_port "$port" --port; port="$PORT"
log="$DATA/spring-client.log"; : >"$log"
# Its own timing made short: by default it fetches every 30 s, and its load balancer remembers for 35.
props=(-Dserver.port="$port" -Dserver.address=127.0.0.1 -Dserver.tomcat.basedir="$DATA/tomcat"
  -Dspring.application.name="$name" -Dspring.main.banner-mode=off
  -Deureka.client.service-url.defaultZone="$eureka" -Deureka.client.jersey.enabled=false -Deureka.client.registry-fetch-interval-seconds=1
  -Deureka.instance.hostname=127.0.0.1 -Deureka.instance.lease-renewal-interval-in-seconds=1
  -Deureka.client.initial-instance-info-replication-interval-seconds=1 -Dspring.cloud.loadbalancer.cache.enabled=false)
launch "$log" "$JAVA" -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.io.tmpdir="$DATA" "${props[@]}" \
  -cp "$DIR/classes:$LIB/*" launch.SpringClient ${extra[@]+"${extra[@]}"}
pid="$LAST_PID"
probe() {
  grep -q 'Tomcat started on port' "$log" || return 1
  case "$(http_get "$port" /hello)" in *"$name"*) return 0 ;; esac; return 1
}
REGISTRY_READY_TIMEOUT="${REGISTRY_JAVA_READY_TIMEOUT:-120}"
wait_ready "$pid" "$log" probe
announce pid "$pid"
ready "http://127.0.0.1:$port"
stay
