import { createResolver, roundRobin } from "mcp-discovery";

const resolver = createResolver({ registry: "http://127.0.0.1:8761", balancer: roundRobin() });
const orders = resolver.service("orders");

const response = await orders.fetch("/v1/orders/42"); // picks, calls, measures, goes elsewhere if that is safe
console.log(response.status, await response.text());

const same = await fetch("http://orders/v1/orders/42", { dispatcher: resolver.dispatcher() }); // or leave your code as it is
console.log(same.status, await same.text());

await resolver.close();
