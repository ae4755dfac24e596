/** Where Arrow looks for its default allocation manager. */
@NullMarked
package org.apache.arrow.memory.unsafe;

import org.jspecify.annotations.NullMarked;
