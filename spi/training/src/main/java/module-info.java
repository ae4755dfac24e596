/**
 * Fine-tuning of many adapters over one frozen base: what a trainer asks of the hardware, and what
 * every backend shares.
 */
module dev.lorikeet.training {
  requires transitive dev.lorikeet.cluster;
  requires transitive dev.lorikeet.host;
  requires static org.jspecify;
  requires static org.yaml.snakeyaml;

  exports dev.lorikeet.training;
  exports dev.lorikeet.training.data;
  exports dev.lorikeet.training.learning;
  exports dev.lorikeet.training.pipeline;
  exports dev.lorikeet.training.stage;
  exports dev.lorikeet.training.optimizer;
  exports dev.lorikeet.training.task;
  exports dev.lorikeet.training.trainer;

  uses dev.lorikeet.training.stage.TrainableModelProvider;
}
