// custom.mjs FOLDER: reads Kubernetes objects as JSON lines from standard input; those of the Prometheus operator are held to its own schema, which
// is in the packages of FOLDER. Others are left to kubernetes-validate.
import { createInterface } from 'node:readline';

const { ServiceMonitor } = await import(`${process.argv[2]}/node_modules/@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor.js`);
let seen = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const object = JSON.parse(line);
  if (object?.apiVersion !== 'monitoring.coreos.com/v1') continue;
  new ServiceMonitor(object).validate();
  seen += 1;
}
console.log(`${seen} objects of the Prometheus operator`);
