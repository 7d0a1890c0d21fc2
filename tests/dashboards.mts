// Compiled, never run: a dashboard's JSON against Grafana's own types. Enums take their texts.
import type { AnnotationQuery, Dashboard } from "@grafana/schema";
import type { Options as Geomap } from "@grafana/schema/dist/esm/raw/composable/geomap/panelcfg/x/GeomapPanelCfg_types.gen";
import type { Options as Stat } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type { Options as Table } from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type { Options as Timeseries } from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

export type Loose<T> = T extends string ? `${T}` : T extends (infer U)[] ? Loose<U>[]
  : T extends object ? { [K in keyof T]: Loose<T[K]> } : T;
// What an annotation asks of a database is declared by its data source, not by the schema.
type Note = Omit<Loose<AnnotationQuery>, "target"> & {
  target: { refId: string; rawQuery: boolean; editorMode: string; format: string; rawSql: string };
};
export type Board = Omit<Loose<Dashboard>, "annotations"> & { annotations: { list: Note[] } };
export type PanelOptions = {
  geomap: Loose<Geomap>; stat: Loose<Partial<Stat>>; table: Loose<Partial<Table>>; timeseries: Loose<Partial<Timeseries>>;
};
