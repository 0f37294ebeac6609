/** What `npm test` leaves out, said after its result: all of it can be had, and none of it is wanted unasked. */
export function teardown(): void {
  if (process.env["CI"] !== undefined) return; // where the other suites have their turn
  process.stderr.write(
    [
      "\nNot run here: what needs real servers (Consul, etcd, Eureka, Nacos, DNS) or minutes. To run it:",
      "  npm run integration   fetches and starts the servers, and says which cannot be had on this machine",
      "  npm run chaos · npm run simulation · npm run soak\n\n",
    ].join("\n"),
  );
}
