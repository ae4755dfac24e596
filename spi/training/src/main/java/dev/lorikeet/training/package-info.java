/** Fine-tuning of adapters over a base model, be it served at the same time or not. */
@NullMarked
package dev.lorikeet.training;

import org.jspecify.annotations.NullMarked;
