// What the dashboards are made of: panels with one look, and the few shapes of queries that they ask with.
import { DashboardBuilder, DatasourceVariableBuilder, QueryVariableBuilder, RowBuilder, VariableRefresh, DashboardCursorSync } from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as LinesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import { PanelBuilder as NumberBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { GraphDrawStyle, LegendDisplayMode, LegendPlacement, StackingMode, TooltipDisplayMode, VizLegendOptionsBuilder, VizTooltipOptionsBuilder, StackingConfigBuilder, ReduceDataOptionsBuilder, BigValueGraphMode } from '@grafana/grafana-foundation-sdk/common';

const SOURCE = { type: 'prometheus', uid: '${datasource}' };

/** A metric of the chosen nodes, with labels. */
export const of = (metric, labels = '') => `althing_${metric}{instance=~"$node"${labels ? `, ${labels}` : ''}}`;
/** How much a second. */
export const rate = (metric, labels) => `rate(${of(metric, labels)}[$__rate_interval])`;
/** The same, of all nodes and workers together, by labels. */
export const sum = (metric, by = '', labels = '') => `sum${by ? ` by (${by})` : ''} (${rate(metric, labels)})`;
/** Below which value this share of a distribution lay. */
export const quantile = (q, metric, by = '', labels = '') => `histogram_quantile(${q}, sum by (le${by ? `, ${by}` : ''}) (${rate(`${metric}_bucket`, labels)}))`;
/** A distribution's mean. */
export const mean = (metric, by = '', labels = '') => `${sum(`${metric}_sum`, by, labels)} / ${sum(`${metric}_count`, by, labels)}`;
/** The share of a distribution above one of its bounds. */
export const above = (bound, metric, by, labels = '') =>
  `1 - ${sum(`${metric}_bucket`, by, [`le="${bound}"`, labels].filter(Boolean).join(', '))} / ${sum(`${metric}_count`, by, labels)}`;

const query = ([legend, expr], index) =>
  new DataqueryBuilder().refId(String.fromCharCode(65 + index)).datasource(SOURCE).expr(expr).legendFormat(legend).range();

/** Lines over time: `queries` are legends with what is asked. */
export function lines(title, description, unit, queries, { stack = false, width = 8, min = 0 } = {}) {
  const panel = new LinesBuilder()
    .title(title)
    .description(description)
    .datasource(SOURCE)
    .unit(unit)
    .drawStyle(GraphDrawStyle.Line)
    .fillOpacity(stack ? 35 : 8)
    .lineWidth(1)
    .span(width)
    .height(8)
    .legend(new VizLegendOptionsBuilder().displayMode(LegendDisplayMode.List).placement(LegendPlacement.Bottom).showLegend(true))
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi));
  if (min !== null) panel.min(min);
  if (stack) panel.stacking(new StackingConfigBuilder().mode(StackingMode.Normal));
  return panel.targets(Object.entries(queries).map(query));
}

/** One number, as it is now. */
export function number(title, description, unit, expr) {
  return new NumberBuilder()
    .title(title)
    .description(description)
    .datasource(SOURCE)
    .unit(unit)
    .span(4)
    .height(4)
    .graphMode(BigValueGraphMode.Area)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .targets([query(['', expr], 0)]);
}

/** A dashboard of rows of panels. */
export function board(uid, title, description, rows) {
  const made = new DashboardBuilder(`Althing: ${title}`)
    .uid(`althing-${uid}`)
    .description(description)
    .tags(['althing', 'webrtc'])
    .editable()
    .refresh('30s')
    .time({ from: 'now-1h', to: 'now' })
    .timezone('browser')
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'))
    .withVariable(
      new QueryVariableBuilder('node')
        .label('Node')
        .datasource(SOURCE)
        .query('label_values(althing_build_info, instance)')
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .multi(true)
        .includeAll(true)
        .allValue('.*'),
    );
  for (const [name, panels] of Object.entries(rows)) {
    made.withRow(new RowBuilder(name));
    panels.forEach((panel) => made.withPanel(panel));
  }
  return made.build();
}

