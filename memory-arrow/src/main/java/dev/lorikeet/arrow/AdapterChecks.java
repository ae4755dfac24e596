package dev.lorikeet.arrow;

import dev.lorikeet.files.peft.PeftPlans;
import dev.lorikeet.files.peft.TrustedLinks;
import dev.lorikeet.shape.ModelShape;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * What is asked of an adapter's folder beyond what the base model asks.
 *
 * @param strict whether an adapter is refused where a module that its configuration covers has no
 *     weights, of which there is a warning otherwise
 * @param trustedLinks folders that links out of the adapter's may lead to; those into Hugging
 *     Face's cache always may
 */
public record AdapterChecks(boolean strict, List<Path> trustedLinks) {
  /** What is asked by default. */
  public static final AdapterChecks DEFAULT = new AdapterChecks(false, List.of());

  public AdapterChecks {
    trustedLinks = List.copyOf(trustedLinks);
  }

  /** Returns the plans of adapters that are checked so. */
  PeftPlans plans(Optional<ModelShape> shape) {
    return strict ? PeftPlans.strict(shape) : new PeftPlans(shape);
  }

  /**
   * Returns where links may lead.
   *
   * @throws IllegalArgumentException if a trusted folder is no directory; the message names it
   */
  TrustedLinks links() {
    return TrustedLinks.ofEnvironment().with(trustedLinks);
  }
}
