package dev.lorikeet.conformance.model;

import dev.lorikeet.conformance.BaseModelConformance;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.BaseModelProvider;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.shape.ModelInfo;
import java.nio.file.Path;
import java.util.Optional;

class ReferenceModelTest extends BaseModelConformance {
  @Override
  protected BaseModel openModel(ModelConfig config) {
    return new ReferenceModel(config);
  }

  @Override
  protected Optional<BaseModelProvider> provider() {
    return Optional.of(new Provider());
  }

  private static final class Provider implements BaseModelProvider {
    @Override
    public String name() {
      return "reference";
    }

    @Override
    public Availability availability() {
      return Availability.available("");
    }

    @Override
    public ModelInfo describe(Path directory) {
      return ReferenceModelFiles.describe(directory);
    }

    @Override
    public BaseModel open(ModelConfig config) {
      return new ReferenceModel(config);
    }
  }
}
